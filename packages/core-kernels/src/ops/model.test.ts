import { Random } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import type { FloatDType } from '../dtype.js';
import { Tensor } from '../tensor.js';
import { failure } from '../test-support.js';
import {
  add,
  attention,
  crossEntropy,
  embedding,
  kvAppend,
  rmsNorm,
  rope,
  ropeAppend,
  ropeAttention,
  sample,
  siluMul,
} from './model.js';

const random = new Random(11);
const FLOATS = ['f32', 'bf16', 'f16'] as const;
const i32 = (...values: number[]) =>
  Tensor.from(Int32Array.from(values), { shape: [values.length], dtype: 'i32' });

/** A normal tensor, and its values as the operation sees them: after rounding to the dtype. */
async function normal<D extends FloatDType>(shape: readonly number[], dtype: D) {
  const size = shape.reduce((a, b) => a * b, 1);
  const tensor = Tensor.from(random.normals(size), { shape, dtype });
  return { tensor, values: Array.from(await tensor.toFloat32Array()) };
}

type FiveTensors<D extends FloatDType> = [Tensor<D>, Tensor<D>, Tensor<D>, Tensor<D>, Tensor<D>];

/** Half a step of the dtype, and what float32 arithmetic of numbers around 1 may lose. */
const STEP = { f32: 0, bf16: 2 ** -8, f16: 2 ** -11 } as const;
async function expectClose(actual: Tensor<FloatDType>, expected: readonly number[]): Promise<void> {
  const values = await actual.toFloat32Array();
  expect(values.length).toBe(expected.length);
  const outside = expected.flatMap((exact, i) => {
    const value = values[i] as number;
    const near =
      Math.abs(value - exact) <= STEP[actual.dtype] * Math.abs(exact) + 1e-5 * (1 + Math.abs(exact));
    return near || Object.is(value, exact) ? [] : [{ i, value, exact }];
  });
  expect(outside).toEqual([]);
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe.each(FLOATS)('%s', (dtype) => {
  it('embedding copies rows, and gives NaN outside of the table', async () => {
    const { tensor: table, values } = await normal([7, 5], dtype);
    const ids = [3, 0, 6, 3, -1, 7];
    using out = embedding(i32(...ids), table, dtype);
    expect([out.shape, out.dtype]).toEqual([[6, 5], dtype]);
    const expected = ids.flatMap((id) => range(5).map((c) => values[id * 5 + c] ?? Number.NaN));
    for (const c of range(5)) expected[4 * 5 + c] = Number.NaN;
    expect(Array.from(await out.toFloat32Array())).toEqual(expected);
  });

  const rms = (x: readonly number[], weight: readonly number[], eps: number) =>
    range(x.length / weight.length).flatMap((row) => {
      const values = x.slice(row * weight.length, (row + 1) * weight.length);
      const mean = sum(values.map((v) => v * v)) / weight.length;
      return values.map((v, i) => (v / Math.sqrt(mean + eps)) * (weight[i] as number));
    });

  it.each([1, 70, 1031])('rmsNorm over %d columns', async (width) => {
    const x = await normal([3, width], dtype);
    const weight = await normal([width], 'bf16');
    using y = rmsNorm(x.tensor, weight.tensor, 1e-5);
    await expectClose(y, rms(x.values, weight.values, 1e-5));
  });

  it('rmsNorm adds the residual first and writes the sum back', async () => {
    const x = await normal([3, 70], dtype);
    const residual = await normal([3, 70], dtype);
    const weight = await normal([70], 'f32');
    const total = x.values.map((v, i) => v + (residual.values[i] as number));
    using y = rmsNorm(x.tensor, weight.tensor, 1e-3, residual.tensor);
    await expectClose(y, rms(total, weight.values, 1e-3));
    await expectClose(residual.tensor, total);
    expect(Array.from(await x.tensor.toFloat32Array())).toEqual(x.values);
  });

  it('rope turns the pairs (i, i + half)', async () => {
    const positions = [0, 1, 5, 300];
    const frequencies = Float32Array.from(range(4), (i) => 10_000 ** (-i / 4));
    const x = await normal([4, 3, 8], dtype);
    rope(x.tensor, i32(...positions), Tensor.from(frequencies, { shape: [4] }));
    const expected = x.values.map((value, at) => {
      const [m, i] = [Math.floor(at / 24), at % 8];
      // The angle itself is a float32.
      const angle = Math.fround((positions[m] as number) * (frequencies[i % 4] as number));
      const partner = i < 4 ? -(x.values[at + 4] as number) : (x.values[at - 4] as number);
      return value * Math.cos(angle) + partner * Math.sin(angle);
    });
    await expectClose(x.tensor, expected);
  });

  it('ropeAppend is rope, then kvAppend', async () => {
    const shapes = [
      [3, 4, 8],
      [3, 2, 8],
      [3, 2, 8],
      [6, 2, 8],
      [6, 2, 8],
    ];
    const together = await Promise.all(shapes.map(async (shape) => (await normal(shape, dtype)).tensor));
    const apart = together.map((tensor) => tensor.clone());
    const positions = i32(4, 9, 4);
    const frequencies = Tensor.from([1, 0.1, 0.01, 0.001], { shape: [4] });
    const [q, k, v, kCache, vCache] = apart as FiveTensors<typeof dtype>;
    rope(q, positions, frequencies);
    rope(k, positions, frequencies);
    kvAppend(k, positions, kCache);
    kvAppend(v, positions, vCache);
    const [a, b, c, ...caches] = together as FiveTensors<typeof dtype>;
    ropeAppend(a, b, c, positions, frequencies, ...caches);
    for (const [index, tensor] of together.entries()) {
      expect(await tensor.toBytes()).toEqual(await apart[index]!.toBytes());
    }
  });

  it('ropeAttention is ropeAppend, then attention', async () => {
    for (const [tokens, headDim] of [
      [1, 8],
      [3, 8],
      [1, 64],
      [1, 128],
    ] as const) {
      const shapes = [
        [tokens, 4, headDim],
        [tokens, 2, headDim],
        [tokens, 2, headDim],
        [300, 2, headDim],
        [300, 2, headDim],
      ];
      const together = await Promise.all(shapes.map(async (shape) => (await normal(shape, dtype)).tensor));
      const apart = together.map((tensor) => tensor.clone());
      const positions = i32(...[211, 5, 1].slice(0, tokens));
      const inverse = Float32Array.from(range(headDim / 2), (i) => 10_000 ** (-i / headDim));
      const frequencies = Tensor.from(inverse, { shape: [headDim / 2] });
      const [q, k, v, kCache, vCache] = apart as FiveTensors<typeof dtype>;
      ropeAppend(q, k, v, positions, frequencies, kCache, vCache);
      using expected = attention(q, kCache, vCache, positions, 0.3);
      const [a, b, c, ...caches] = together as FiveTensors<typeof dtype>;
      using out = ropeAttention(a, b, c, positions, frequencies, ...caches, 0.3);
      for (const [index, tensor] of [...together, out].entries()) {
        expect(await tensor.toBytes()).toEqual(await [...apart, expected][index]!.toBytes());
      }
    }
  });

  it('kvAppend writes rows to their positions; the last one stays, others are dropped', async () => {
    const x = await normal([5, 2, 4], dtype);
    const cache = await normal([6, 2, 4], dtype);
    kvAppend(x.tensor, i32(4, -1, 0, 6, 4), cache.tensor);
    const expected = [...cache.values];
    expected.splice(0, 8, ...x.values.slice(16, 24));
    expected.splice(32, 8, ...x.values.slice(32, 40));
    expect(Array.from(await cache.tensor.toFloat32Array())).toEqual(expected);
  });

  it.each([
    { heads: 1, kvHeads: 1, headDim: 4, capacity: 5, positions: [0, 1, 4] },
    { heads: 6, kvHeads: 2, headDim: 16, capacity: 150, positions: [0, 63, 64, 65, 149, 12] },
    { heads: 4, kvHeads: 4, headDim: 5, capacity: 9, positions: [3] },
    { heads: 4, kvHeads: 1, headDim: 32, capacity: 64, positions: [2, 2, 63, 100, -1] },
  ])('attention $heads/$kvHeads x $headDim over $capacity', async (problem) => {
    const { heads, kvHeads, headDim, capacity, positions } = problem;
    const scale = headDim ** -0.5;
    const q = await normal([positions.length, heads, headDim], dtype);
    const k = await normal([capacity, kvHeads, headDim], dtype);
    const v = await normal([capacity, kvHeads, headDim], dtype);
    using out = attention(q.tensor, k.tensor, v.tensor, i32(...positions), scale);
    const expected = positions.flatMap((position, m) =>
      range(heads).flatMap((head) => {
        // A position past the cache sees all of it, one below 0 nothing.
        const seen = range(Math.max(0, Math.min(position + 1, capacity)));
        const at = (t: number) => (t * kvHeads + Math.floor((head * kvHeads) / heads)) * headDim;
        const query = q.values.slice((m * heads + head) * headDim, (m * heads + head + 1) * headDim);
        const weights = seen.map((t) =>
          Math.exp(scale * sum(query.map((x, i) => x * (k.values[at(t) + i] as number)))),
        );
        const total = sum(weights) || 1;
        return range(headDim).map(
          (i) => sum(seen.map((t) => (weights[t] as number) * (v.values[at(t) + i] as number))) / total,
        );
      }),
    );
    await expectClose(out, expected);
  });

  it('siluMul', async () => {
    const gate = await normal([2, 1500], dtype);
    const up = await normal([2, 1500], dtype);
    using y = siluMul(gate.tensor, up.tensor);
    await expectClose(
      y,
      gate.values.map((g, i) => (g / (1 + Math.exp(-g))) * (up.values[i] as number)),
    );
  });

  it('add, with and without a scale', async () => {
    const a = await normal([3, 700], dtype);
    const b = await normal([3, 700], 'bf16');
    using plain = add(a.tensor, b.tensor);
    await expectClose(
      plain,
      a.values.map((v, i) => v + (b.values[i] as number)),
    );
    using scaled = add(a.tensor, b.tensor, -0.375);
    await expectClose(
      scaled,
      a.values.map((v, i) => v - 0.375 * (b.values[i] as number)),
    );
  });

  it('crossEntropy', async () => {
    const logits = await normal([4, 1500], dtype);
    const targets = [0, 1499, 7, 700];
    using losses = crossEntropy(logits.tensor, i32(...targets));
    const expected = targets.map((target, m) => {
      const row = logits.values.slice(m * 1500, (m + 1) * 1500);
      return Math.log(sum(row.map(Math.exp))) - (row[target] as number);
    });
    await expectClose(losses, expected);
  });

  it('sample without a temperature takes the first largest logit', async () => {
    const rows = [
      [1, 3, 3, 2],
      [-1, -5, -0.5, -0.5],
      [Number.NaN, 2, 1, Number.NaN],
      [-Infinity, -Infinity, -1, -Infinity],
    ];
    using logits = Tensor.from(rows.flat(), { shape: [4, 4], dtype });
    using ids = sample(logits, i32(0, 1, 2, 3));
    expect(await ids.toArray()).toEqual(Int32Array.of(1, 2, 1, 2));
  });
});

describe('numbers at the edge', () => {
  it('rmsNorm shows a NaN in its row only', async () => {
    using x = Tensor.from([1, Number.NaN, 3, 4], { shape: [2, 2] });
    using weight = Tensor.from([1, 1], { shape: [2] });
    using y = rmsNorm(x, weight, 1e-6);
    expect(Array.from(await y.toArray()).map(Number.isNaN)).toEqual([true, true, false, false]);
  });

  it('silu of large arguments', async () => {
    using gate = Tensor.from([100, -100, Infinity, 0, Number.NaN], { shape: [5] });
    using one = Tensor.from([1, 1, 1, 1, 1], { shape: [5] });
    using y = siluMul(gate, one);
    const [large, small, ...rest] = await y.toArray();
    expect([large, ...rest]).toEqual([100, Infinity, 0, Number.NaN]);
    expect(Math.abs(small as number)).toBeLessThan(1e-30);
  });

  it('attention over large scores does not overflow', async () => {
    using q = Tensor.from([1000, 0], { shape: [1, 1, 2] });
    using k = Tensor.from([1000, 0, 999, 0], { shape: [2, 1, 2] });
    using v = Tensor.from([1, 2, 3, 4], { shape: [2, 1, 2] });
    using y = attention(q, k, v, i32(1), 1);
    expect(await y.toArray()).toEqual(Float32Array.of(1, 2));
  });

  it('crossEntropy of large logits, and of a target that is no class', async () => {
    using logits = Tensor.from([1000, 0, 0, 1000, -1000, 0], { shape: [3, 2] });
    using losses = crossEntropy(logits, i32(0, 0, 0));
    expect(await losses.toArray()).toEqual(Float32Array.of(0, 1000, 1000));
    using outside = crossEntropy(logits, i32(-1, 2, 1));
    expect(await outside.toArray()).toEqual(Float32Array.of(Number.NaN, Number.NaN, 0));
  });
});

describe('sample', () => {
  const DRAWS = 20_000;

  /** How often each class comes up in many draws from one row of logits. */
  async function counts(row: readonly number[], options: Parameters<typeof sample>[2]) {
    const flat = new Float32Array(DRAWS * row.length).map((_, i) => row[i % row.length] as number);
    using logits = Tensor.from(flat, { shape: [DRAWS, row.length] });
    using ids = sample(logits, i32(...range(DRAWS)), options);
    const result = row.map(() => 0);
    for (const id of await ids.toArray()) result[id] = (result[id] as number) + 1;
    return result;
  }

  const row = [0.5, 2, -1, 1.5, 0, Number.NaN];
  const softmax = (logits: readonly number[], temperature: number) => {
    const weights = logits.map((v) => (Number.isFinite(v) ? Math.exp(v / temperature) : 0));
    return weights.map((w) => w / sum(weights));
  };
  const masked = (kept: readonly number[]) => row.map((v, i) => (kept.includes(i) ? v : -Infinity));
  // Five standard deviations of a count of draws.
  const expectFrequencies = (actual: number[], probabilities: number[]) => {
    probabilities.forEach((p, i) => {
      const spread = 5 * Math.sqrt(DRAWS * p * (1 - p));
      expect(Math.abs((actual[i] as number) - DRAWS * p)).toBeLessThanOrEqual(spread);
    });
  };

  it.each([0.5, 1, 2])('follows the softmax at temperature %d; NaN is never drawn', async (temperature) => {
    expectFrequencies(await counts(row, { temperature, seed: 1 }), softmax(row, temperature));
  });

  it.each([
    [1, [1]],
    [2, [1, 3]],
    [3, [0, 1, 3]],
    [100, [0, 1, 2, 3, 4]],
  ])('top-k %d keeps the classes %j', async (topK, kept) => {
    expectFrequencies(await counts(row, { temperature: 1, topK, seed: 2 }), softmax(masked(kept), 1));
  });

  it.each([
    // The probabilities in order: 0.496, 0.301, 0.111, 0.067, 0.025.
    [0.01, [1]],
    [0.49, [1]],
    [0.51, [1, 3]],
    [0.8, [0, 1, 3]],
    [1, [0, 1, 2, 3, 4]],
  ])('top-p %d keeps the classes %j', async (topP, kept) => {
    expectFrequencies(await counts(row, { temperature: 1, topP, seed: 3 }), softmax(masked(kept), 1));
  });

  it('top-p counts the mass of what top-k kept', async () => {
    // Among the two likeliest the first has 0.62 of the mass.
    const options = { temperature: 1, topK: 2, seed: 4 };
    expectFrequencies(await counts(row, { ...options, topP: 0.6 }), softmax(masked([1]), 1));
    expectFrequencies(await counts(row, { ...options, topP: 0.65 }), softmax(masked([1, 3]), 1));
  });

  it('among equals the lower index is kept', async () => {
    const [, , third, fourth] = await counts([1, 1, 1, 1], { temperature: 1, topK: 2 });
    expect([third, fourth]).toEqual([0, 0]);
  });

  it('a seed repeats its draws, another gives others', async () => {
    const draw = async (seed: number, first: number) => {
      using logits = Tensor.zeros([64, 1000], 'f32');
      using ids = sample(logits, i32(...range(64).map((i) => first + i)), { temperature: 1, seed });
      return Array.from(await ids.toArray());
    };
    const ids = await draw(5, 0);
    expect(await draw(5, 0)).toEqual(ids);
    expect(await draw(6, 0)).not.toEqual(ids);
    expect(await draw(5, 1000)).not.toEqual(ids);
    expect(new Set(ids).size).toBeGreaterThan(50);
  });

  it('a draw depends on its own counter only', async () => {
    using logits = Tensor.zeros([2, 1000], 'f32');
    const draw = async (...counters: number[]) => {
      using ids = sample(logits, i32(...counters), { temperature: 1, seed: 9 });
      return Array.from(await ids.toArray());
    };
    const [first, second] = await draw(3, 4);
    expect(await draw(3, 5)).toEqual([first, expect.any(Number)]);
    expect((await draw(7, 4))[1]).toBe(second);
  });
});

describe('errors', () => {
  const f32 = (...shape: number[]) => Tensor.zeros(shape, 'f32');
  const ids = (count: number) => Tensor.zeros([count], 'i32');
  const cases: Record<string, [string, () => unknown]> = {
    'embedding: ids of a float dtype': [
      'QUTLASS_E_DTYPE ids: expected i32, got f32',
      () => embedding(f32(2) as never, f32(3, 4), 'f32'),
    ],
    'embedding: a table of rank 1': [
      'QUTLASS_E_SHAPE table: expected rank 2, got shape [3]',
      () => embedding(ids(2), f32(3), 'f32'),
    ],
    'rmsNorm: another width': [
      'QUTLASS_E_SHAPE weight: expected shape [4], got [3]',
      () => rmsNorm(f32(2, 4), f32(3), 1e-5),
    ],
    'rmsNorm: another residual': [
      'QUTLASS_E_SHAPE residual: expected shape [2, 4], got [1, 4]',
      () => rmsNorm(f32(2, 4), f32(4), 1e-5, f32(1, 4)),
    ],
    'rmsNorm: eps of 0': [
      'QUTLASS_E_ARGUMENT eps: expected a finite number above 0, got 0',
      () => rmsNorm(f32(2, 4), f32(4), 0),
    ],
    'rope: an odd head': [
      'QUTLASS_E_SHAPE x: expected an even head_dim, got shape [1, 1, 3]',
      () => rope(f32(1, 1, 3), ids(1), f32(1)),
    ],
    'rope: other frequencies': [
      'QUTLASS_E_SHAPE inv_freq: expected shape [2], got [4]',
      () => rope(f32(1, 1, 4), ids(1), f32(4)),
    ],
    'kvAppend: other heads': [
      'QUTLASS_E_SHAPE cache: expected shape [8, 2, 4], got [8, 1, 4]',
      () => kvAppend(f32(1, 2, 4), ids(1), f32(8, 1, 4)),
    ],
    'kvAppend: positions of another length': [
      'QUTLASS_E_SHAPE positions: expected shape [1], got [2]',
      () => kvAppend(f32(1, 2, 4), ids(2), f32(8, 2, 4)),
    ],
    'ropeAttention: a scale of NaN': [
      'QUTLASS_E_ARGUMENT scale: expected a finite number, got nan',
      () =>
        ropeAttention(
          ...([f32(1, 4, 4), f32(1, 2, 4), f32(1, 2, 4), ids(1), f32(2)] as const),
          ...([f32(8, 2, 4), f32(8, 2, 4), Number.NaN] as const),
        ),
    ],
    'ropeAppend: values unlike keys': [
      'QUTLASS_E_SHAPE v: expected shape [1, 2, 4], got [1, 1, 4]',
      () => ropeAppend(f32(1, 4, 4), f32(1, 2, 4), f32(1, 1, 4), ids(1), f32(2), f32(8, 2, 4), f32(8, 2, 4)),
    ],
    'ropeAppend: another value cache': [
      'QUTLASS_E_SHAPE v_cache: expected shape [8, 2, 4], got [9, 2, 4]',
      () => ropeAppend(f32(1, 4, 4), f32(1, 2, 4), f32(1, 2, 4), ids(1), f32(2), f32(8, 2, 4), f32(9, 2, 4)),
    ],
    'ropeAppend: keys of other heads': [
      'QUTLASS_E_SHAPE inv_freq: expected shape [3], got [2]',
      () => ropeAppend(f32(1, 4, 4), f32(1, 2, 6), f32(1, 2, 6), ids(1), f32(2), f32(8, 2, 6), f32(8, 2, 6)),
    ],
    'attention: heads that do not divide': [
      'QUTLASS_E_SHAPE k_cache: expected a number of heads that divides the 3 of q, got 2',
      () => attention(f32(1, 3, 4), f32(8, 2, 4), f32(8, 2, 4), ids(1), 1),
    ],
    'attention: values unlike keys': [
      'QUTLASS_E_SHAPE v_cache: expected shape [8, 1, 4], got [9, 1, 4]',
      () => attention(f32(1, 3, 4), f32(8, 1, 4), f32(9, 1, 4), ids(1), 1),
    ],
    'attention: a scale of NaN': [
      'QUTLASS_E_ARGUMENT scale: expected a finite number, got nan',
      () => attention(f32(1, 1, 4), f32(8, 1, 4), f32(8, 1, 4), ids(1), Number.NaN),
    ],
    'siluMul: another shape': [
      'QUTLASS_E_SHAPE up: expected shape [2, 4], got [4, 2]',
      () => siluMul(f32(2, 4), f32(4, 2)),
    ],
    'add: integers': [
      'QUTLASS_E_DTYPE b: expected f32 or bf16 or f16, got i32',
      () => add(f32(2), ids(2) as never),
    ],
    'sample: a negative temperature': [
      'QUTLASS_E_ARGUMENT temperature: expected a finite number of at least 0, got -1',
      () => sample(f32(1, 4), ids(1), { temperature: -1 }),
    ],
    'sample: a negative top-k': [
      'QUTLASS_E_ARGUMENT top_k: expected at least 0, got -1',
      () => sample(f32(1, 4), ids(1), { topK: -1 }),
    ],
    'sample: a top-p of 0': [
      'QUTLASS_E_ARGUMENT top_p: expected a number above 0, at most 1, got 0',
      () => sample(f32(1, 4), ids(1), { topP: 0 }),
    ],
    'sample: other counters': [
      'QUTLASS_E_SHAPE counters: expected shape [1], got [2]',
      () => sample(f32(1, 4), ids(2)),
    ],
    'crossEntropy: other targets': [
      'QUTLASS_E_SHAPE targets: expected shape [2], got [3]',
      () => crossEntropy(f32(2, 4), ids(3)),
    ],
    'crossEntropy: logits of rank 1': [
      'QUTLASS_E_SHAPE logits: expected rank 2, got shape [4]',
      () => crossEntropy(f32(4), ids(4)),
    ],
  };

  it.each(Object.entries(cases))('%s', (_, [expected, action]) => {
    expect(failure(action)).toBe(expected);
  });
});
