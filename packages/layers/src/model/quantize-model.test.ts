import { hadamard, int4, int8, mxfp4, nf4, nvfp4 } from '@qutlass/quant';
import { describe, expect, it } from 'vitest';
import { device, expectNoLeak, logitsOf, memory, writeSmallModel } from '../../test/support.js';
import { failure, temporaryDirectory } from '../checkpoint/test-support.js';
import { Linear, TiedLinear } from '../modules/linear.js';
import { QuantLinear } from '../modules/quant-linear.js';
import { Llama } from './llama.js';
import { quantizeModel, type Recipe } from './quantize-model.js';

async function smallModel(options: Parameters<typeof writeSmallModel>[1] = {}): Promise<Llama> {
  const directory = await temporaryDirectory();
  await writeSmallModel(directory, options);
  return Llama.load(directory, { device });
}

const PROJECTIONS = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj'].concat(
  ['gate_proj', 'up_proj', 'down_proj'].map((name) => `mlp.${name}`),
);
const every = (names: readonly string[]) =>
  [0, 1].flatMap((layer) => names.map((name) => `model.layers.${layer}.${name}`));
const mlp = ['mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj'];

/** The format, activations and rotation of each quantized layer by its path. */
function quantized(model: Llama): Map<string, string> {
  const layers = [...model.modules()].filter(
    (entry): entry is [string, QuantLinear] => entry[1] instanceof QuantLinear,
  );
  return new Map(
    layers.map(([path, { format, activations, weight }]) => [
      path,
      [format, activations, weight.rotation]
        .map((value) => (value && 'name' in value ? value.name : value))
        .join(' '),
    ]),
  );
}

describe('the layers that quantizeModel takes', () => {
  it.each<[string, Partial<Recipe>, string[]]>([
    ['all but the head by default', {}, every(PROJECTIONS)],
    ['all', { exclude: [] }, [...every(PROJECTIONS), 'lm_head']],
    ['all, with **', { include: ['**'], exclude: [] }, [...every(PROJECTIONS), 'lm_head']],
    ['one component', { include: ['down_proj'] }, every(['mlp.down_proj'])],
    ['part of a component', { include: ['*_proj'], exclude: ['q_*'] }, every(PROJECTIONS.slice(1))],
    ['a path', { include: ['model.layers.1.mlp.up_proj'] }, ['model.layers.1.mlp.up_proj']],
    ['one level', { include: ['model.layers.*.mlp.*'] }, every(mlp)],
    ['any level', { include: ['model.**.mlp.*'] }, every(mlp)],
    ['a class', { include: ['model.layers.[1-9].mlp.{up,gate}_proj'] }, every(mlp).slice(3, 5)],
    ['all but a part', { exclude: ['**.self_attn.*', 'lm_head'] }, every(mlp)],
    ['all but a layer', { exclude: ['model.layers.0.**', 'lm_head'] }, every(PROJECTIONS).slice(7)],
    ['none', { exclude: ['**'] }, []],
  ])('%s', async (_, recipe, expected) => {
    using model = await smallModel();
    const paths = await quantizeModel(model, { format: int8(), ...recipe });
    expect(paths).toEqual(expected);
    expect([...quantized(model).keys()]).toEqual(expected);
    expect((await logitsOf(model, [1, 2, 3])).every(Number.isFinite)).toBe(true);
  });

  it.each<[Partial<Recipe>, string]>([
    [{ include: ['up'] }, 'include: expected a pattern of linear layers, got "up"'],
    [{ include: [''] }, 'include: expected a pattern of linear layers, got ""'],
    [{ include: ['model.layers.*'] }, 'include: expected a pattern of linear layers, got "model.layers.*"'],
    [{ exclude: ['model.norm'] }, 'exclude: expected a pattern of linear layers, got "model.norm"'],
    [
      { overrides: [{ match: 'mlp', format: null }] },
      'overrides: expected a pattern of linear layers, got "mlp"',
    ],
  ])('none that %j matches', async (recipe, message) => {
    using model = await smallModel();
    expect(await failure(() => quantizeModel(model, { format: int8(), ...recipe }))).toBe(
      `QUTLASS_E_ARGUMENT ${message}`,
    );
    expect(quantized(model).size).toBe(0);
  });
});

describe('a recipe', () => {
  it('has exceptions, of which the first counts', async () => {
    using model = await smallModel({ attention_bias: true });
    const { bias } = model.child('model.layers.0.self_attn.q_proj') as Linear;
    const bits = await bias?.toArray();
    await quantizeModel(model, {
      format: 'nvfp4',
      activations: 'nvfp4',
      rotation: hadamard(16),
      overrides: [
        { match: 'model.layers.0.mlp.down_proj', format: null },
        { match: 'down_proj', format: int4({ group: 32 }), activations: int8() },
        { match: 'model.layers.1.mlp.*', format: mxfp4() },
      ],
    });
    const full = 'nvfp4 nvfp4 hadamard(16)';
    const expected = new Map(every(PROJECTIONS).map((path) => [path, full]));
    expected.delete('model.layers.0.mlp.down_proj');
    expected.set('model.layers.1.mlp.down_proj', 'int4-g32 int8-row ');
    expected.set('model.layers.1.mlp.gate_proj', 'mxfp4  ').set('model.layers.1.mlp.up_proj', 'mxfp4  ');
    expect(quantized(model)).toEqual(expected);
    expect(model.child('model.layers.0.mlp.down_proj')).toBeInstanceOf(Linear);
    const layer = model.child('model.layers.0.self_attn.q_proj') as QuantLinear;
    expect(await layer.bias?.toArray()).toEqual(bits);
    expect((await logitsOf(model, [1, 2, 3])).every(Number.isFinite)).toBe(true);
  });

  it('quantizes a tied head apart from the embedding', async () => {
    using model = await smallModel({ tie_word_embeddings: true });
    expect(model.child('lm_head')).toBeInstanceOf(TiedLinear);
    expect(await quantizeModel(model, { format: int8(), include: ['lm_head'], exclude: [] })).toEqual([
      'lm_head',
    ]);
    expect(model.child('lm_head')).toBeInstanceOf(QuantLinear);
    expect(model.child('model.embed_tokens').disposed).toBe(false);
    expect((await logitsOf(model, [1, 2, 3])).every(Number.isFinite)).toBe(true);
  });

  it('reports each layer', async () => {
    using model = await smallModel();
    const seen: unknown[] = [];
    const paths = await quantizeModel(
      model,
      { format: nvfp4(), include: ['**.mlp.*'] },
      { onProgress: (progress) => seen.push(progress) },
    );
    expect(seen).toEqual(paths.map((module, i) => ({ module, done: i + 1, total: 6 })));
  });

  it('frees the dense weights', async () => {
    using model = await smallModel();
    const { allocations } = await memory();
    await quantizeModel(model, { format: mxfp4() });
    // One block in the place of each weight.
    expect((await memory()).allocations).toBe(allocations);
    expect(await failure(() => quantizeModel(model, { format: mxfp4(), include: ['down_proj'] }))).toBe(
      'QUTLASS_E_ARGUMENT include: expected a pattern of linear layers, got "down_proj"',
    );
  });
});

describe('a quantization that fails', () => {
  async function expectUnchanged(
    run: (model: Llama) => Promise<unknown>,
    expectation: (result: Promise<unknown>) => Promise<unknown>,
  ): Promise<void> {
    using model = await smallModel({ attention_bias: true });
    const before = [...model.modules()];
    const logits = await logitsOf(model, [1, 2, 3]);
    await expectNoLeak(() => expectation(run(model)));
    expect([...model.modules()]).toEqual(before);
    expect(await logitsOf(model, [1, 2, 3])).toEqual(logits);
  }

  it('midway, by its signal, leaves the model as it was', async () => {
    const reason = new Error('stopped');
    for (const last of [1, 7, 14]) {
      const controller = new AbortController();
      await expectUnchanged(
        (model) =>
          quantizeModel(
            model,
            { format: nvfp4() },
            {
              signal: controller.signal,
              onProgress: ({ done }) => {
                if (done === last) controller.abort(reason);
              },
            },
          ),
        (result) => expect(result).rejects.toBe(reason),
      );
    }
  });

  it('by a layer that cannot be quantized so, leaves the model as it was', async () => {
    await expectUnchanged(
      (model) =>
        quantizeModel(model, {
          format: int8(),
          overrides: [{ match: 'model.layers.1.mlp.up_proj', format: int8(), activations: nf4() }],
        }),
      (result) =>
        expect(result).rejects.toMatchObject({
          code: 'QUTLASS_E_FORMAT',
          message: 'activations: expected a format that multiplies with int8, got nf4',
        }),
    );
  });

  it('by an unknown format, leaves the model as it was', async () => {
    await expectUnchanged(
      (model) => quantizeModel(model, { format: 'int3' }),
      (result) => expect(result).rejects.toThrow(/^format: expected one of .*, got "int3"$/),
    );
  });
});
