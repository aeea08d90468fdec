import { join } from 'node:path';
import { hadamard, int4, int8, nvfp4, rotation } from '@qutlass/quant';
import { describe, expect, it } from 'vitest';
import {
  bf16Tensor,
  device,
  editJson,
  expectNoLeak,
  logitsOf,
  tensorShapes,
  tinyLlama,
  writeSmallModel,
} from '../../test/support.js';
import { writeCheckpoint } from '../checkpoint/checkpoint-writer.js';
import { CheckpointFiles } from '../checkpoint/sharded.js';
import { failure, temporaryDirectory } from '../checkpoint/test-support.js';
import { QuantLinear } from '../modules/quant-linear.js';
import { Llama } from './llama.js';
import { quantizeModel } from './quantize-model.js';
import { saveModel } from './save.js';
import type { LoadProgress } from './tensor-source.js';

type Tensors = Map<string, ReturnType<typeof bf16Tensor>>;

/** Loads a small model whose tensors were changed; what fails has to free its memory. */
async function loadChanged(
  change: (tensors: Tensors) => void,
  options: Parameters<typeof writeSmallModel>[1] = {},
): Promise<string> {
  const directory = await temporaryDirectory();
  await writeSmallModel(directory, options, change as Parameters<typeof writeSmallModel>[2]);
  let message = '';
  await expectNoLeak(async () => {
    message = await failure(() => Llama.load(directory, { device }));
  });
  return message.replaceAll(directory, 'DIR');
}

/** A quantized model on disk. */
async function quantizedModel(): Promise<string> {
  const [source, directory] = [await temporaryDirectory(), await temporaryDirectory()];
  await writeSmallModel(source);
  using model = await Llama.load(source, { device });
  await quantizeModel(model, {
    format: nvfp4(),
    overrides: [
      { match: 'up_proj', format: int4({ group: 32, zeroPoint: true }), rotation: hadamard(16, { seed: 1 }) },
    ],
  });
  await saveModel(model, directory);
  return directory;
}

describe('Llama.load', () => {
  it('reports each tensor, also of quantized weights', async () => {
    const steps: LoadProgress[] = [];
    using model = await Llama.load(tinyLlama, { device, onProgress: (step) => steps.push(step) });
    expect(steps.map(({ done }) => done)).toEqual(Array.from({ length: 39 }, (_, i) => i + 1));
    expect(new Set(steps.map(({ tensor }) => tensor))).toEqual(
      new Set([...model.parameters()].map(([n]) => n)),
    );
    expect(steps.every(({ total }) => total === 39)).toBe(true);

    const directory = await quantizedModel();
    steps.length = 0;
    using _ = await Llama.load(directory, { device, onProgress: (step) => steps.push(step) });
    // 7 dense tensors, 12 weights in nvfp4 and 2 in int4 with zero points: 3 parts each.
    expect(steps.at(-1)).toMatchObject({ done: 49, total: 49 });
  });

  it('stops with the reason of its signal', async () => {
    await expectNoLeak(async () => {
      const reason = new Error('stopped');
      const controller = new AbortController();
      const onProgress = ({ done }: LoadProgress) => {
        if (done === 20) controller.abort(reason);
      };
      const load = Llama.load(tinyLlama, { device, signal: controller.signal, onProgress });
      await expect(load).rejects.toBe(reason);
    });
  });

  it('keeps activations in float32 on the CPU, in bfloat16 on a GPU, or as asked', async () => {
    using model = await Llama.load(tinyLlama, { device });
    expect(model.dtype).toBe(device.kind === 'cpu' ? 'f32' : 'bf16');
    expect(model.source).toBe(tinyLlama);
    using half = await Llama.load(tinyLlama, { device, dtype: 'f16' });
    using cache = half.createCache(4);
    expect([half.dtype, cache.layer(0).values.dtype]).toEqual(['f16', 'f16']);
  });

  it('leaves out what follows from the rest', async () => {
    const directory = await temporaryDirectory();
    const config = await writeSmallModel(directory, { tie_word_embeddings: true }, (tensors) => {
      tensors.set('lm_head.weight', bf16Tensor('lm_head.weight', [48, 32], 99));
      const name = 'model.layers.0.self_attn.rotary_emb.inv_freq';
      tensors.set(name, bf16Tensor(name, [4]));
    });
    const steps: LoadProgress[] = [];
    using model = await Llama.load(directory, { device, onProgress: (step) => steps.push(step) });
    expect([...model.parameters()].map(([name]) => name).sort()).toEqual(
      [...tensorShapes(config).keys()].sort(),
    );
    expect(steps.at(-1)).toMatchObject({ done: 20, total: 20 });
  });
});

describe('a checkpoint that does not fit config.json', () => {
  it('lacks a tensor', async () => {
    expect(await loadChanged((tensors) => tensors.delete('model.layers.1.mlp.up_proj.weight'))).toBe(
      'QUTLASS_E_CHECKPOINT DIR/model.safetensors: expected a tensor "model.layers.1.mlp.up_proj.weight", got 20 others',
    );
    expect(
      await loadChanged((tensors) => tensors.delete('model.layers.1.self_attn.v_proj.bias'), {
        attention_bias: true,
      }),
    ).toContain('expected a tensor "model.layers.1.self_attn.v_proj.bias"');
    expect(await loadChanged((tensors) => tensors.delete('lm_head.weight'))).toContain(
      'expected a tensor "lm_head.weight"',
    );
  });

  it.each([[[31, 32]], [[32]], [[32, 32, 1]], [[16, 64]]])('has a tensor of shape %j', async (shape) => {
    const name = 'model.layers.1.self_attn.o_proj.weight';
    expect(await loadChanged((tensors) => tensors.set(name, bf16Tensor(name, shape)))).toBe(
      `QUTLASS_E_CHECKPOINT tensor "${name}": expected shape [32, 32] from config.json, got [${shape.join(', ')}]`,
    );
  });

  it('has a tensor of another dtype', async () => {
    const name = 'model.norm.weight';
    const tensor = { name, dtype: 'I16' as const, shape: [32], data: new Int16Array(32) };
    expect(await loadChanged((tensors) => tensors.set(name, tensor))).toBe(
      `QUTLASS_E_CHECKPOINT tensor "${name}": expected F32, BF16 or F16, got I16`,
    );
  });

  it('has a tensor that the model has no place for', async () => {
    const add = (name: string) => (tensors: Tensors) => tensors.set(name, bf16Tensor(name, [8]));
    expect(await loadChanged(add('model.layers.0.self_attn.q_proj.bias'))).toBe(
      'QUTLASS_E_CHECKPOINT tensor "model.layers.0.self_attn.q_proj.bias": ' +
        'expected only tensors of the model that config.json describes',
    );
    expect(
      await loadChanged((tensors) => {
        add('model.layers.2.x')(tensors);
        add('model.layers.3.x')(tensors);
        add('y')(tensors);
      }),
    ).toBe(
      'QUTLASS_E_CHECKPOINT tensor "model.layers.2.x" and 2 more: ' +
        'expected only tensors of the model that config.json describes',
    );
  });
});

describe('a quantized checkpoint', () => {
  const path = 'model.layers.1.mlp.up_proj';

  /** Loads a quantized model after a change to the entry of `path` in config.json. */
  async function loadEdited(edit: (entry: Record<string, unknown>, config: never) => void): Promise<string> {
    const directory = await quantizedModel();
    await editJson(join(directory, 'config.json'), (json) => {
      const config = json.quantization_config as { modules: Record<string, Record<string, unknown>> };
      edit(config.modules[path] as Record<string, unknown>, config as never);
    });
    let message = '';
    await expectNoLeak(async () => {
      message = await failure(() => Llama.load(directory, { device }));
    });
    return message.replaceAll(directory, 'DIR');
  }

  /** Loads a quantized model after a change to its tensors. */
  async function loadRewritten(change: (tensors: Tensors) => void): Promise<string> {
    const directory = await quantizedModel();
    await using files = await CheckpointFiles.open(directory);
    const tensors: Tensors = new Map();
    for (const name of files.names) {
      const { dtype, shape } = files.info(name);
      tensors.set(name, { name, dtype, shape, data: await files.read(name) });
    }
    change(tensors);
    await writeCheckpoint(directory, tensors.values());
    let message = '';
    await expectNoLeak(async () => {
      message = await failure(() => Llama.load(directory, { device }));
    });
    return message.replaceAll(directory, 'DIR');
  }

  it.each<[string, Record<string, unknown>, string]>([
    ['other features', { in_features: 31 }, `${path}: expected in_features 32 from config.json, got 31`],
    [
      'another format of the same parts',
      { format: 'int4-g32-asym-bf16' },
      `tensor "${path}.weight.scales": expected BF16 [80, 1], got F32 [80, 1]`,
    ],
    [
      'a format of other parts',
      { format: 'nvfp4' },
      `tensor "${path}.weight.scales": expected F8_E4M3 [80, 2], got F32 [80, 1]`,
    ],
    [
      'a rotation that pads more',
      { rotation: { kind: 'hadamard', size: 64 } },
      `tensor "${path}.weight.codes": expected U8 [80, 32], got U8 [80, 16]`,
    ],
    [
      'activations that do not multiply',
      { activations: 'nvfp4' },
      'activations: expected a format that multiplies with int4, got nvfp4',
    ],
  ])('with %s in config.json', async (_, change, message) => {
    const code = message.startsWith('activations') ? 'QUTLASS_E_FORMAT' : 'QUTLASS_E_CHECKPOINT';
    expect(await loadEdited((entry) => Object.assign(entry, change))).toBe(`${code} ${message}`);
  });

  it('with a layer that config.json does not name, or names twice', async () => {
    expect(
      await loadEdited((_, { modules }: { modules: Record<string, unknown> }) => delete modules[path]),
    ).toBe(`QUTLASS_E_CHECKPOINT DIR/model.safetensors: expected a tensor "${path}.weight", got 49 others`);
    expect(
      await loadEdited((entry, { modules }: { modules: Record<string, unknown> }) => {
        modules['model.layers.2.mlp.up_proj'] = entry;
      }),
    ).toBe(
      'QUTLASS_E_CHECKPOINT quantization_config.modules.model.layers.2.mlp.up_proj: ' +
        'expected a linear layer of the model that config.json describes',
    );
  });

  it.each(['codes', 'scales', 'zero_points'])('without its %s', async (part) => {
    expect(await loadRewritten((tensors) => tensors.delete(`${path}.weight.${part}`))).toBe(
      `QUTLASS_E_CHECKPOINT DIR/model.safetensors: expected a tensor "${path}.weight.${part}", got 48 others`,
    );
  });

  it('with a part of another shape or dtype, or one too many', async () => {
    const name = `${path}.weight.zero_points`;
    const set = (dtype: 'I8' | 'U8', shape: number[]) => (tensors: Tensors) =>
      tensors.set(name, { name, dtype, shape, data: new Uint8Array(80) });
    expect(await loadRewritten(set('I8', [80, 1]))).toBe(
      `QUTLASS_E_CHECKPOINT tensor "${name}": expected U8 [80, 1], got I8 [80, 1]`,
    );
    expect(await loadRewritten(set('U8', [40, 2]))).toBe(
      `QUTLASS_E_CHECKPOINT tensor "${name}": expected U8 [80, 1], got U8 [40, 2]`,
    );
    const extra = `${path}.weight.global_scale`;
    expect(await loadRewritten((tensors) => tensors.set(extra, bf16Tensor(extra, [1])))).toBe(
      `QUTLASS_E_CHECKPOINT tensor "${extra}": expected only tensors of the model that config.json describes`,
    );
  });

  it('shares one rotation among its layers', async () => {
    const [source, directory] = [await temporaryDirectory(), await temporaryDirectory()];
    await writeSmallModel(source);
    using model = await Llama.load(source, { device });
    await quantizeModel(model, { format: int8(), rotation: rotation([0, 1, 1, 0], 2) });
    await saveModel(model, directory);
    using loaded = await Llama.load(directory, { device });
    await logitsOf(loaded, [1]);
    const rotations = [...loaded.modules()].flatMap(([, module]) =>
      module instanceof QuantLinear ? [module.weight.rotation] : [],
    );
    expect(rotations).toHaveLength(14);
    expect(new Set(rotations).size).toBe(1);
  });
});
