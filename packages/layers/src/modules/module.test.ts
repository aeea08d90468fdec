import { Device, scope, Tensor } from '@qutlass/core-kernels';
import { hadamard, int4, int8, nvfp4 } from '@qutlass/quant';
import { otherDevice } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  device,
  expectNoLeak,
  logitsOf,
  memory,
  parameterBytes,
  randomTensor,
  tensorShapes,
  writeSmallModel,
} from '../../test/support.js';
import { failure, temporaryDirectory } from '../checkpoint/test-support.js';
import { Llama } from '../model/llama.js';
import { quantizeModel } from '../model/quantize-model.js';
import { Linear, type LinearModule } from './linear.js';
import { GatedMLP } from './mlp.js';
import { QuantLinear } from './quant-linear.js';
import { RMSNorm } from './rms-norm.js';

const other = otherDevice(Device);
const linear = (n: number, k: number, seed = 1) => new Linear(randomTensor([n, k], seed));

function block(): GatedMLP {
  return new GatedMLP(linear(8, 4, 1), linear(8, 4, 2), linear(4, 8, 3));
}

async function smallModel(options: Parameters<typeof writeSmallModel>[1] = {}): Promise<Llama> {
  const directory = await temporaryDirectory();
  await writeSmallModel(directory, options);
  return Llama.load(directory, { device });
}

describe('the tree of modules', () => {
  it('has the names of the checkpoint', async () => {
    for (const flags of [{}, { attention_bias: true, mlp_bias: true }, { tie_word_embeddings: true }]) {
      const directory = await temporaryDirectory();
      const config = await writeSmallModel(directory, flags);
      using model = await Llama.load(directory, { device });
      const shapes = tensorShapes(config);
      expect(new Map([...model.parameters()].map(([name, { shape }]) => [name, shape]))).toEqual(shapes);
      const elements = [...shapes.values()].map((shape) => shape.reduce((a, b) => a * b, 1));
      expect(model.byteLength).toBe(elements.reduce((a, b) => a + b, 0) * 2);
      const paths = [...model.modules()].map(([path]) => path);
      expect(paths[0]).toBe('');
      expect(paths).toContain('model.layers.1.self_attn.q_proj');
      for (const [path, module] of model.modules()) {
        if (path) expect(model.child(path)).toBe(module);
      }
    }
  });

  it('gives parameters by name', async () => {
    using mlp = block();
    const up = mlp.child('up_proj') as Linear;
    expect(up.parameter('weight')).toBe(up.weight);
    expect(await failure(() => up.parameter('bias'))).toBe(
      'QUTLASS_E_ARGUMENT name: expected one of weight, got "bias"',
    );
    expect(await failure(() => mlp.parameter('weight'))).toBe(
      'QUTLASS_E_ARGUMENT name: expected one of (none), got "weight"',
    );
  });

  it('names the path that leads nowhere', async () => {
    using model = await smallModel();
    for (const path of [
      '',
      'model',
      'model.layers.2',
      'model.layers.1.mlp.up',
      'model.layers.1.',
      'lm_head.x',
    ]) {
      const message = `QUTLASS_E_ARGUMENT path: expected that of a module, got ${JSON.stringify(path)}`;
      expect(await failure(() => model.child(path))).toBe(message);
      using replacement = linear(4, 8);
      expect(await failure(() => model.replaceChild(path, replacement))).toBe(message);
    }
  });

  it('lets a child be replaced by one that fits', async () => {
    using mlp = block();
    const old = mlp.child('down_proj') as Linear;
    const replacement = QuantLinear.from(old.weight, { format: int8() });
    using returned = mlp.replaceChild('down_proj', replacement);
    expect(returned).toBe(old);
    expect(mlp.child('down_proj')).toBe(replacement);
    expect(old.disposed).toBe(false);

    using wide = linear(4, 9);
    expect(await failure(() => mlp.replaceChild('down_proj', wide))).toBe(
      'QUTLASS_E_SHAPE replacement: expected 8 -> 4 features, got 9 -> 4',
    );
    using norm = new RMSNorm(randomTensor([4]), 1e-5);
    expect(await failure(() => mlp.replaceChild('down_proj', norm))).toBe(
      'QUTLASS_E_ARGUMENT replacement: expected a linear layer, got RMSNorm',
    );
    using model = await smallModel();
    expect(await failure(() => model.replaceChild('model.norm', wide))).toBe(
      'QUTLASS_E_ARGUMENT replacement: expected another RMSNorm, got Linear',
    );
    const gone = linear(4, 8);
    gone.dispose();
    expect(await failure(() => mlp.replaceChild('down_proj', gone))).toBe(
      'QUTLASS_E_DISPOSED replacement: used after dispose()',
    );
    expect(mlp.child('down_proj')).toBe(replacement);
  });

  it('lives as long as what a scope returns', async () => {
    await expectNoLeak(() => {
      using mlp = scope(() => block());
      using x = randomTensor([2, 4]);
      using out = mlp.forward(x);
      expect(out.shape).toEqual([2, 4]);
    });
  });
});

describe('dispose()', () => {
  it('frees all of a model', async () => {
    const directory = await temporaryDirectory();
    await writeSmallModel(directory, { attention_bias: true });
    await expectNoLeak(async () => {
      const model = await Llama.load(directory, { device });
      await quantizeModel(model, { format: nvfp4(), activations: nvfp4(), rotation: hadamard(16) });
      await logitsOf(model, [1, 2, 3]);
      model.dispose();
      model.dispose();
      for (const [, parameter] of model.parameters()) expect(parameter.disposed).toBe(true);
    });
  });

  it('makes every use an error', async () => {
    const model = await smallModel();
    using cache = model.createCache(4);
    using ids = Tensor.from(Int32Array.of(1), { shape: [1], dtype: 'i32', device });
    const mlp = model.child('model.layers.0.mlp') as GatedMLP;
    const up = mlp.child('up_proj') as LinearModule;
    model.dispose();
    using x = randomTensor([1, 32]);
    using head = linear(48, 32);
    const uses: [string, () => unknown][] = [
      ['Llama', () => model.forward(ids, { cache })],
      ['Llama', () => model.child('lm_head')],
      ['Llama', () => model.replaceChild('lm_head', head)],
      ['Llama', () => model.to(other)],
      ['GatedMLP', () => mlp.forward(x)],
      ['Linear', () => up.forward(x)],
      ['Linear', () => up.parameter('weight')],
    ];
    for (const [name, use] of uses) {
      expect(await failure(use)).toBe(`QUTLASS_E_DISPOSED ${name}: used after dispose()`);
    }
    expect(cache.length).toBe(0);
  });
});

/** The root of the squared error, relative to the size of what is expected. */
function relativeError(actual: Float32Array, expected: Float32Array): number {
  const sum = (values: Float32Array) => values.reduce((total, x) => total + x * x, 0);
  return Math.sqrt(sum(actual.map((x, i) => x - (expected[i] as number))) / sum(expected));
}

describe('to()', () => {
  it('moves a model to another device and back without changing a bit', async () => {
    using model = await smallModel({ attention_bias: true, tie_word_embeddings: true });
    const recipe = {
      format: int4({ group: 32, zeroPoint: true }),
      activations: int8(),
      rotation: hadamard(16, { seed: 1 }),
      overrides: [{ match: 'down_proj', format: nvfp4() }],
    };
    await quantizeModel(model, recipe);
    const tokens = [1, 2, 3, 40];
    const logits = await logitsOf(model, tokens);
    const bytes = await parameterBytes(model);
    const { allocated } = await memory();
    const layer = model.child('model.layers.0.mlp.up_proj') as QuantLinear;
    const { prepared } = layer;

    expect(await model.to(other)).toBe(model);
    expect(model.device).toBe(other);
    expect(prepared.disposed).toBe(true);
    expect(layer.prepared.device).toBe(other);
    for (const [, parameter] of model.parameters()) expect(parameter.device).toBe(other);
    const elsewhere = await logitsOf(model, tokens);
    // Sums are rounded in another order on another kind of device.
    if (other.kind === device.kind) expect(elsewhere).toEqual(logits);
    else expect(relativeError(elsewhere, logits)).toBeLessThan(2 ** -7);
    const generated: number[] = [];
    for await (const { id } of model.generate(tokens, { maxTokens: 4 })) generated.push(id);

    await model.to(device);
    await other.synchronize();
    // What stays belongs to the rotations, which are values with a copy per device.
    expect(other.memoryStats().allocations).toBeLessThanOrEqual(1);
    expect((await memory()).allocated).toBeLessThanOrEqual(allocated);
    expect(await parameterBytes(model)).toEqual(bytes);
    expect(await logitsOf(model, tokens)).toEqual(logits);
    const again: number[] = [];
    for await (const { id } of model.generate(tokens, { maxTokens: 4 })) again.push(id);
    if (other.kind === device.kind) expect(again).toEqual(generated);
    else expect(again).toHaveLength(generated.length);
  });

  it('to where it is does nothing', async () => {
    using mlp = block();
    const parameters = [...mlp.parameters()];
    await mlp.to(device);
    expect([...mlp.parameters()]).toEqual(parameters);
  });

  it('leaves the module as it was if it fails', async () => {
    using mlp = block();
    const up = mlp.child('up_proj') as Linear;
    up.weight.dispose();
    const { allocations } = other.memoryStats();
    expect(await failure(() => mlp.to(other))).toBe('QUTLASS_E_DISPOSED tensor: used after dispose()');
    await other.synchronize();
    expect(other.memoryStats().allocations).toBeLessThanOrEqual(allocations);
    for (const [, parameter] of mlp.parameters()) expect(parameter.device).toBe(device);
  });
});
