import {
  bytesOf,
  changed,
  input,
  operationChecker,
  output,
  Random,
  selected,
  type Tolerance,
  valuesOf,
} from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import * as qutlass from '../src/index.js';
import { type FloatDType, loadBinding, type Tensor } from '../src/index.js';

// The operations of a transformer, on memory of every kind, and on other devices as on the CPU. What they compute is
// tested against their formulas in src/ops. Sums have no fixed order, and functions like exp are within two units in the
// last place of float32: tolerances are what these make of the result, beyond its rounding.

const native = loadBinding();
const check = operationChecker<Tensor>(qutlass);
const streamOf = (x: Tensor) => x.device.stream.handle;
const random = new Random(11);

const FLOATS = ['f32', 'bf16', 'f16'] as const;
const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const sizeOf = (shape: readonly number[]) => shape.reduce((x, y) => x * y, 1);

/** Normal numbers as an operand; `change` may replace some. */
function normal(
  dtype: FloatDType,
  shape: readonly number[],
  { deviation = 1, offset = 0, change = (_: Float32Array) => {} } = {},
) {
  const values = random.normals(sizeOf(shape), deviation);
  change(values);
  return input(dtype, shape, bytesOf(dtype, values), offset);
}
const ints = (values: readonly number[]) => input('i32', [values.length], bytesOf('i32', values));
/** The operand as one that the operation changes. */
const inPlace = ({ dtype, shape, bytes, offset }: ReturnType<typeof input>) =>
  changed(dtype, shape, bytes as Uint8Array, offset);

/** Every third value of a row is one of these. */
const EDGES = [Number.NaN, Infinity, -Infinity, 0, -0, 1e-42, -1e-42, 88.8, -88.8, -104, 3e38, -3e38, 65519];

describe.each(FLOATS)('%s', (dtype) => {
  it('embedding', async () => {
    for (const out of FLOATS) {
      for (const width of selected([64, 7, 1, 3000], 2)) {
        const table = normal(dtype, [37, width], {
          offset: 3,
          change: (values) => values.set(EDGES.slice(0, width), 0),
        });
        const ids = ints([0, 36, -1, 37, -(2 ** 31), 5]);
        await check({ ids, table, out: output(out, [6, width], 1) }, ({ ids, table, out }) =>
          native.embedding(streamOf(ids), ids.handle, table.handle, out.handle),
        );
      }
    }
  });

  it.each(selected([70, 1, 7, 1000, 4096, 4097, 5003, 20_000], 3))(
    'rmsNorm over %d columns',
    async (width) => {
      const shape = [width > 4000 ? 3 : 33, width];
      const x = normal(dtype, shape, { deviation: 2, offset: 1 });
      const residual = normal(dtype, shape, { offset: 3 });
      const weight = normal('bf16', [width], { offset: 1 });
      const near: Tolerance = { relative: 4e-6, absolute: 1e-30 };
      await check(
        { x, weight, out: output(dtype, shape, 1) },
        ({ x, weight, out }) => native.rmsNorm(streamOf(x), x.handle, null, weight.handle, 1e-5, out.handle),
        { tolerances: { out: near } },
      );
      await check(
        { x: inPlace(x), residual: inPlace(residual), weight },
        ({ x, residual, weight }) =>
          native.rmsNorm(streamOf(x), x.handle, residual.handle, weight.handle, 1e-5, x.handle),
        { tolerances: { x: near } },
      );
    },
  );

  it.each(selected([64, 2, 6, 80, 100, 256, 600], 2))('rope of heads of %d', async (headDim) => {
    for (const heads of [1, 5]) {
      const x = inPlace(normal(dtype, [9, heads, headDim], { offset: 2 }));
      const positions = ints([100, 0, 1, 4095, 131_071, -1, -300, 7, 16_777_217]);
      const frequencies = range(headDim / 2).map((i) => 10_000 ** ((-2 * i) / headDim));
      const inverse = input('f32', [headDim / 2], bytesOf('f32', frequencies), 1);
      await check(
        { x, positions, inverse },
        ({ x, positions, inverse }) => native.rope(streamOf(x), x.handle, positions.handle, inverse.handle),
        // Of values up to about 5.
        { tolerances: { x: { relative: 0, absolute: 4e-6 } } },
      );
    }
  });

  it.each(selected([128, 64, 6, 600], 1))('ropeAppend of heads of %d', async (headDim) => {
    for (const to of FLOATS) {
      for (const tokens of [1, 40]) {
        const q = inPlace(normal(dtype, [tokens, 6, headDim], { offset: 2 }));
        const k = inPlace(normal(dtype, [tokens, 2, headDim], { offset: 1 }));
        const v = normal(to, [tokens, 2, headDim]);
        const positions = ints(range(tokens).map(() => random.integer(-3, 53)));
        const frequencies = range(headDim / 2).map((i) => 10_000 ** ((-2 * i) / headDim));
        const inverse = input('f32', [headDim / 2], bytesOf('f32', frequencies), 1);
        const cache = () => inPlace(normal(to, [50, 2, headDim], { offset: 3 }));
        // Of values up to about 5.
        const near: Tolerance = { relative: 0, absolute: 4e-6 };
        // Rounded twice, to the dtype of k and to that of the cache.
        const cached: Tolerance = { relative: dtype === to ? 0 : 2 ** -7, absolute: 4e-6 };
        await check(
          { q, k, v, positions, inverse, kCache: cache(), vCache: cache() },
          ({ q, k, v, positions, inverse, kCache, vCache }) =>
            native.ropeAppend(
              streamOf(q),
              ...([q.handle, k.handle, v.handle, positions.handle, inverse.handle] as const),
              ...([kCache.handle, vCache.handle] as const),
            ),
          { tolerances: { q: near, k: near, kCache: cached } },
        );
      }
    }
  });

  it.each(selected([128, 64, 6, 256], 1))('ropeAttention of heads of %d', async (headDim) => {
    const capacity = 300;
    for (const [heads, kvHeads] of [
      [8, 2],
      [9, 1],
      [3, 3],
    ] as const) {
      for (const positions of selected([[16], [0], [15], [255], [299], [300], [-1], [3, 4, 5]], 3)) {
        const tokens = positions.length;
        const frequencies = range(headDim / 2).map((i) => 10_000 ** ((-2 * i) / headDim));
        const unseen = (Math.max(...positions) + 1) * kvHeads * headDim;
        // What no token sees must not matter, and the row of a token is not read before it is written.
        const change = (values: Float32Array) =>
          values.fill(Number.NaN, Math.max(0, unseen - tokens * kvHeads * headDim));
        const cache = () =>
          inPlace(
            normal(dtype, [capacity, kvHeads, headDim], {
              offset: 2,
              ...(positions[0]! < capacity && { change }),
            }),
          );
        // Of values up to about 5. Averages of numbers of about 1, by weights of rotated rows that may be rounded otherwise.
        const near: Tolerance = { relative: 0, absolute: 4e-6 };
        const average: Tolerance =
          dtype === 'f32' ? { relative: 2e-5, absolute: 2e-5 } : { relative: 1e-2, absolute: 1e-2 };
        await check(
          {
            q: inPlace(normal(dtype, [tokens, heads, headDim], { offset: 2 })),
            k: inPlace(normal(dtype, [tokens, kvHeads, headDim], { offset: 2 })),
            v: normal(dtype, [tokens, kvHeads, headDim], { offset: 2 }),
            positions: ints(positions),
            inverse: input('f32', [headDim / 2], bytesOf('f32', frequencies), 1),
            ...{ kCache: cache(), vCache: cache(), out: output(dtype, [tokens, heads, headDim], 2) },
          },
          ({ q, k, v, positions, inverse, kCache, vCache, out }) =>
            native.ropeAttention(
              streamOf(q),
              ...([q.handle, k.handle, v.handle, positions.handle, inverse.handle] as const),
              ...([kCache.handle, vCache.handle, headDim ** -0.5, out.handle] as const),
            ),
          { tolerances: { q: near, k: near, kCache: near, out: average } },
        );
      }
    }
  });

  it('kvAppend', async () => {
    for (const to of FLOATS) {
      for (const [rows, headDim] of selected(
        [
          [5, 33],
          [1, 64],
          [700, 1],
        ] as const,
        1,
      )) {
        const x = normal(dtype, [rows, 3, headDim], { offset: 1 });
        const cache = inPlace(normal(to, [100, 3, headDim], { offset: 3 }));
        const positions = ints(range(rows).map(() => random.integer(-5, 105)));
        await check({ x, positions, cache }, ({ x, positions, cache }) =>
          native.kvAppend(streamOf(x), x.handle, positions.handle, cache.handle),
        );
      }
    }
  });

  it.each(selected([8, 1, 7, 4099], 2))('siluMul and add of %d', async (count) => {
    for (const other of FLOATS) {
      const change = (values: Float32Array) => {
        for (let i = 0; count > 1000 && i < EDGES.length ** 2; ++i) values[3 * i] = EDGES[i % EDGES.length]!;
      };
      const a = normal(dtype, [count], { deviation: 4, offset: 1, change });
      const b = normal(other, [count], { offset: 2 });
      await check(
        { a, b, out: output(dtype, [count], 3) },
        ({ a, b, out }) => native.siluMul(streamOf(a), a.handle, b.handle, out.handle),
        { tolerances: { out: { relative: 1e-6, absolute: 1e-36 } } },
      );
      await check({ a, b, out: output(other, [count]) }, ({ a, b, out }) =>
        native.add(streamOf(a), a.handle, b.handle, -0.37, out.handle),
      );
      await check({ a: inPlace(a), b }, ({ a, b }) =>
        native.add(streamOf(a), b.handle, a.handle, 3.5, a.handle),
      );
    }
  });

  it.each(selected([33, 1, 2, 1000, 5003, 128_256], 2))('crossEntropy of %d classes', async (classes) => {
    const change = (values: Float32Array) => {
      values[4 * classes + (classes >> 1)] = Number.NaN;
      values.fill(-Infinity, 5 * classes, 6 * classes);
      values[7 * classes] = Infinity;
      values.fill(-300, 6 * classes, 7 * classes - 1);
    };
    const logits = normal(dtype, [8, classes], { deviation: 5, offset: 1, change });
    const targets = ints([0, -1, classes, classes - 1, 0, 0, 0, 0]);
    await check(
      { logits, targets, out: output('f32', [8]) },
      ({ logits, targets, out }) =>
        native.crossEntropy(streamOf(logits), logits.handle, targets.handle, out.handle),
      { tolerances: { out: { relative: 2e-6, absolute: 2e-6 } } },
    );
  });
});

interface AttentionCase {
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly capacity: number;
  /** Position of the first token; the others follow. */
  readonly first: number;
  readonly dtypes?: readonly [q: FloatDType, k: FloatDType, v: FloatDType, out: FloatDType];
}

const decoding: AttentionCase[] = [
  ...[
    { heads: 32, kvHeads: 8 },
    { heads: 20, kvHeads: 2 },
    { heads: 3, kvHeads: 3 },
  ].map((heads) => ({ ...heads, tokens: 1, headDim: 128, capacity: 1500, first: 1330 })),
  ...[64, 1, 32, 72, 80, 100, 128, 192, 256].map((headDim) => ({
    ...{ tokens: 1, heads: 8, kvHeads: 2, headDim, capacity: 700, first: 633 },
  })),
  ...[0, 1, 31, 32, 33, 63, 64, 65, 255, 2999].map((first) => ({
    ...{ tokens: 1, heads: 8, kvHeads: 2, headDim: 128, capacity: first + 40, first },
  })),
  ...[2, 3, 4, 5, 16].map((tokens) => ({
    ...{ tokens, heads: 6, kvHeads: 1, headDim: 128, capacity: 400, first: 300 },
  })),
  { tokens: 1, heads: 8, kvHeads: 1, headDim: 128, capacity: 20_000, first: 17_000 },
  { tokens: 1, heads: 1, kvHeads: 1, headDim: 8, capacity: 1, first: 0 },
];
const prefill: AttentionCase[] = [
  ...[64, 1, 33, 80, 130, 256].map((headDim) => ({
    ...{ tokens: 70, heads: 4, kvHeads: 2, headDim, capacity: 200, first: 60 },
  })),
  ...[17, 31, 64, 65, 129].map((tokens) => ({
    ...{ tokens, heads: 4, kvHeads: 2, headDim: 64, capacity: 700, first: 500 },
  })),
];
const mixed: AttentionCase[] = [1, 40].flatMap((tokens) =>
  (
    [
      ['f32', 'f16', 'bf16', 'f16'],
      ['bf16', 'f32', 'f32', 'f32'],
    ] as const
  ).map((dtypes) => ({
    ...{ tokens, heads: 4, kvHeads: 2, headDim: 64, capacity: 90, first: 30, dtypes },
  })),
);

describe('attention', () => {
  /** Positions and changes to the keys and values, if not the plain ones. */
  interface Special {
    readonly positions?: readonly number[];
    readonly keys?: (values: Float32Array) => void;
    readonly values?: (values: Float32Array) => void;
  }

  async function attend(c: AttentionCase, special: Special = {}): Promise<void> {
    const [qType, kType, vType, outType] = c.dtypes ?? ['bf16', 'bf16', 'bf16', 'bf16'];
    const positions = special.positions ?? range(c.tokens).map((m) => c.first + m);
    const unseen = (Math.max(...positions) + 1) * c.kvHeads * c.headDim;
    const kv = (change?: (values: Float32Array) => void) => ({
      offset: 2,
      change: (values: Float32Array) => {
        // What no token sees must not matter.
        values.fill(Number.NaN, unseen);
        change?.(values);
      },
    });
    const shape = [c.capacity, c.kvHeads, c.headDim];
    const q = normal(qType, [c.tokens, c.heads, c.headDim], { offset: 2 });
    await check(
      {
        q,
        k: normal(kType, shape, kv(special.keys)),
        v: normal(vType, shape, kv(special.values)),
        positions: ints(positions),
        out: output(outType, q.shape, 2),
      },
      ({ q, k, v, positions, out }) =>
        native.attention(
          streamOf(q),
          ...([q.handle, k.handle, v.handle, positions.handle, c.headDim ** -0.5, out.handle] as const),
        ),
      // Averages of numbers of about 1.
      { tolerances: { out: { relative: 2e-5, absolute: 2e-5 } } },
    );
  }

  it.each(selected([...decoding, ...prefill, ...mixed], 1))(
    'of $tokens at $first, heads $heads/$kvHeads x $headDim',
    async (c) => {
      if (c.dtypes) return attend(c);
      for (const dtype of FLOATS) await attend({ ...c, dtypes: [dtype, dtype, dtype, dtype] });
    },
  );

  it.each([1, 4, 80])('of %d with positions anywhere, NaN and infinity', async (tokens) => {
    const first = tokens === 1 ? 100 : 0;
    const c: AttentionCase = { tokens, heads: 4, kvHeads: 2, headDim: 128, capacity: 150, first };
    const anywhere = range(tokens).map(() => random.integer(-10, 160));
    const edges = [-1, 2 ** 31 - 1, -(2 ** 31), 150];
    if (tokens === 1) for (const position of edges) await attend(c, { positions: [position] });
    else await attend(c, { positions: [...edges, ...anywhere.slice(4)] });
    await attend(c, { keys: (values) => values.set([Number.NaN], 2 * 256 + 5) });
    await attend(c, { values: (values) => values.set([Number.NaN], 2 * 256 + 5) });
    await attend(c, { values: (values) => values.set([-Infinity], 3 * 256 + 130) });
    await attend(c, { positions: range(tokens).map(() => -1) });
  });
});

describe('sample', () => {
  const settings = {
    'the largest': { temperature: 0, topK: 0, topP: 1 },
    plain: { temperature: 1, topK: 0, topP: 1 },
    hot: { temperature: 3, topK: 0, topP: 1 },
    cold: { temperature: 0.05, topK: 0, topP: 1 },
    'colder than float32': { temperature: 1e-30, topK: 0, topP: 1 },
    'top-k 1': { temperature: 1, topK: 1, topP: 1 },
    'top-k 50': { temperature: 0.8, topK: 50, topP: 1 },
    'top-p 0.9': { temperature: 1, topK: 0, topP: 0.9 },
    'top-p 1e-6': { temperature: 1, topK: 0, topP: 1e-6 },
    both: { temperature: 0.7, topK: 40, topP: 0.95 },
  };

  it.each(selected(Object.entries(settings), 3))('%s', async (_, { temperature, topK, topP }) => {
    for (const classes of selected([100, 1, 5, 1000, 5003, 128_256], 1)) {
      for (const dtype of classes > 5003 ? (['bf16'] as const) : FLOATS) {
        const rows = classes > 5003 ? 12 : 64;
        const change = (values: Float32Array) => {
          for (let i = 0; i < classes; ++i) {
            if (i % 3 === 1) values[classes + i] = Number.NaN;
            if (i % 3 !== 1) values[2 * classes + i] = -Infinity;
            // Ties at every edge.
            values[3 * classes + i] = random.integer(0, 2);
            values[4 * classes + i] = Number.NaN;
            if (i % 4 === 3) values[5 * classes + i] = Infinity;
            values[6 * classes + i] = i % 2 ? 0 : -0;
            values[7 * classes + i] = -Infinity;
          }
        };
        await check(
          {
            logits: normal(dtype, [rows, classes], { deviation: 2, offset: 1, change }),
            counters: ints(range(rows).map(() => random.integer(-(2 ** 31), 2 ** 31 - 1))),
            out: output('i32', [rows]),
          },
          ({ logits, counters, out }) =>
            native.sample(
              streamOf(logits),
              ...([
                logits.handle,
                counters.handle,
                temperature,
                topK,
                topP,
                2 ** 52 - 3,
                out.handle,
              ] as const),
            ),
          {
            // A draw at the edge between two classes may fall to either side; there is none in most cases.
            tolerances: {
              out: (expected, actual) => {
                const [a, b] = [valuesOf('i32', expected), valuesOf('i32', actual)];
                const different = range(rows).filter((m) => a[m] !== b[m]);
                const allowed = temperature === 0 ? 0 : 1;
                return different.length <= allowed ? undefined : `rows ${different} draw otherwise`;
              },
            },
          },
        );
      }
    }
  });
});

describe('the check itself', () => {
  const x = input('f32', [8], bytesOf('f32', range(8)));

  it('notices what is not written, and what should not be', async () => {
    await expect(check({ x, out: output('f32', [8]) }, () => {})).rejects.toThrow(
      'out: other bytes on another stream',
    );
    await expect(check({ x }, ({ x }) => native.fill(streamOf(x), 0, x.handle))).rejects.toThrow(
      'x: an input was changed',
    );
    await expect(
      check({ x, out: output('f32', [8]) }, ({ x, out }) => {
        native.convert(streamOf(x), x.handle, out.handle);
        if (x.device.stream === x.device.defaultStream) native.fill(streamOf(x), 1, out.handle);
      }),
    ).rejects.toThrow('out: other bytes on another stream, the first at 0: 0 instead of 1');
  });
});
