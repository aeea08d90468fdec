import { Random, selected } from '@qutlass/test-support';
import { describe, it } from 'vitest';
import {
  codeDType,
  type Format,
  formatByName,
  fp8,
  int4,
  int8,
  prepare,
  type QuantizedTensor as Quantized,
  QuantizedTensor,
  rowScales,
  Tensor,
} from '../src/index.js';
import { check, quantized, type Setting, sample } from './cases.js';
import { denseValues, quantizedValues } from './operands.js';

// Products at the edges: of the tiles of kernels, of the ranges of numbers, and of K.

const plain: Setting = { seed: 1, outDType: 'f32', bias: 'f32', alpha: null };

async function checkPair(a: Quantized, b: Quantized, change: Partial<Setting> = {}): Promise<void> {
  await check({ ...plain, ...change }, a, b, { a: await quantizedValues(a), b: await quantizedValues(b) });
}

/** Also of the weight as it is prepared, which may have another layout. */
async function checkWeight(a: Tensor<'f32' | 'bf16' | 'f16'>, b: Quantized, change: Partial<Setting> = {}) {
  const values = { a: await denseValues(a), b: await quantizedValues(b) };
  await check({ ...plain, ...change }, a, b, values);
  using prepared = prepare(b);
  await check({ ...plain, ...change }, a, prepared, values);
}

// The first of each pair is the activations' format, or their dtype.
const PAIRS = [
  ['bf16', 'bf16'],
  ['f32', 'f32'],
  ['bf16', 'nvfp4'],
  ['bf16', 'int4-g128'],
  ['bf16', 'mxfp4'],
  ['bf16', 'fp8-row'],
  ['bf16', 'int8-row'],
  ['nvfp4', 'nvfp4'],
  ['mxfp4', 'mxfp8'],
  ['fp8-row', 'fp8-row'],
  ['fp8-1x128', 'fp8-128x128'],
  ['int8-row', 'int8-row'],
  ['int8-row', 'int4-g128'],
] as const;
const ROWS = selected([17, 1, 2, 3, 8, 9, 16, 63, 64, 65, 128, 130], 1);
/** N and K: less than a tile, a tile and some, whole tiles. */
const TAILS = [
  [7, 128],
  [136, 384],
  [129, 640],
  [256, 256],
] as const;

describe.each(PAIRS)('%s x %s', (left, right) => {
  const isDense = (name: string): name is 'bf16' | 'f32' => name === 'bf16' || name === 'f32';

  it.each(ROWS)('M = %d', async (m) => {
    for (const [n, k] of selected(TAILS, 1)) {
      const random = new Random(m * n * k);
      const change = { seed: m * n, outDType: m % 2 ? 'bf16' : 'f32' } as const;
      if (isDense(right)) {
        using a = sample(random, m, k, left as 'bf16');
        using b = sample(random, n, k, right);
        await check({ ...plain, ...change }, a, b, { a: await denseValues(a), b: await denseValues(b) });
        continue;
      }
      using b = quantized(random, formatByName(right), [n, k], m % 3 ? 'row' : 'blocked128x4');
      if (isDense(left)) {
        using a = sample(random, m, k, left);
        await checkWeight(a, b, change);
      } else {
        using a = quantized(random, formatByName(left), [m, k], m % 3 ? 'blocked128x4' : 'row');
        await checkPair(a, b, change);
      }
    }
  });
});

/** Weights of every kind, as they are prepared for a few rows: elements, scales, groups, zero points. */
const WEIGHTS = [
  ...(['f32', 'bf16', 'f16'] as const).flatMap((scale) =>
    ([32, 64, 128, 'row'] as const).flatMap((group) =>
      [false, true].map((zeroPoint) => int4({ group, zeroPoint, scale })),
    ),
  ),
  ...(['tensor', 'row', '1x128', '128x128'] as const).flatMap((granularity) => [
    fp8({ granularity }),
    fp8({ granularity, element: 'e5m2' }),
  ]),
  ...(['tensor', 'row'] as const).flatMap((granularity) =>
    [false, true].map((zeroPoint) => int8({ granularity, zeroPoint })),
  ),
  ...(['mxfp8', 'mxfp8-e5m2', 'mxfp4', 'mxfp4-abs_max', 'nvfp4', 'nvfp4-4over6', 'nf4'] as const).map(
    formatByName,
  ),
];

it.each(selected(WEIGHTS, 3))('a prepared weight in $name under a few rows', async (format) => {
  for (const m of [1, 8, 9, 16, 17, 24, 33, 48, 63, 64, 67]) {
    const random = new Random(m);
    using a = sample(random, m, 384, 'bf16');
    using b = quantized(random, format, [72, 384], 'row');
    await checkWeight(a, b, { seed: m, outDType: 'bf16' });
  }
});

// Enough rows to decode tiles once for all of them, more of K than is decoded at once, and an end inside of a tile.
it.each(selected(WEIGHTS, 3))('a prepared weight in $name under many rows', async (format) => {
  const group = format.groupCols === 'all' ? 1 : format.groupCols;
  const k = Math.ceil(1160 / group) * group;
  const random = new Random(k);
  using a = sample(random, 79, k, 'bf16');
  using b = quantized(random, format, [40, k], 'row');
  await checkWeight(a, b);
});

// More sets of rows than there are multiprocessors, and more of K than blocks bring at once.
it.each(
  selected(
    [
      [64, 264, 4096],
      [17, 40_000, 256],
      [521, 72, 2304],
    ],
    1,
  ),
)('a prepared weight under %d rows, %d x %d', async (m, n, k) => {
  const random = new Random(n);
  using a = sample(random, m, k, 'bf16');
  for (const format of [int4(), formatByName('nvfp4'), fp8()]) {
    using b = quantized(random, format, [n, k], 'row');
    await checkWeight(a, b, { outDType: 'bf16' });
  }
});

/** A quantized matrix [rows, cols] whose codes and scales are changed. */
async function altered(
  format: Format,
  [rows, cols]: readonly [number, number],
  change: (parts: { codes: Uint8Array; scales: Uint8Array }) => void,
): Promise<QuantizedTensor> {
  using q = quantized(new Random(rows + cols), format, [rows, cols], 'row');
  const parts = { codes: await q.codes.toBytes(), scales: await q.scales.toBytes() };
  change(parts);
  return new QuantizedTensor(format, {
    ...{ rows, cols, scaleLayout: 'row' },
    codes: Tensor.fromBytes(parts.codes, { shape: q.codes.shape, dtype: codeDType(format) }),
    scales: rowScales(Tensor.fromBytes(parts.scales, { shape: q.scales.shape, dtype: format.scaleDType })),
    globalScale: q.globalScale?.share(),
  });
}

const [MX8, NV4, MX4] = [formatByName('mxfp8'), formatByName('nvfp4'), formatByName('mxfp4')];

describe.each([3, 20])('numbers at the edges of their range, M = %d', (m) => {
  it('small times large', async () => {
    const random = new Random(m);
    using a = Tensor.from(random.normals(m * 64, 1e-28), { shape: [m, 64] });
    const large = Float32Array.from({ length: 20 * 64 }, () => 3.4e38 * random.uniform());
    large[3] = 3.4028234663852886e38;
    using b = Tensor.from(large, { shape: [20, 64] });
    await check(plain, a, b, { a: await denseValues(a), b: await denseValues(b) });
  });

  it('subnormal half precision, and scales far apart', async () => {
    const random = new Random(m);
    using a = Tensor.from(random.normals(m * 64, 1e-6), { shape: [m, 64], dtype: 'f16' });
    using b = await altered(MX4, [20, 64], ({ scales }) => {
      for (const i of scales.keys()) scales[i] = random.integer(60, 180);
    });
    await checkWeight(a, b);
  });

  it('NaN in scales and codes, negative zeros', async () => {
    using a = sample(new Random(m), m, 96, 'f32');
    using b = await altered(MX8, [33, 96], ({ codes, scales }) => {
      scales[3] = 0xff;
      codes[5 * 96] = 0x7f;
      codes.fill(0x80, 7 * 96, 8 * 96);
    });
    await checkWeight(a, b);
  });

  it('NaN and zero in scales of both', async () => {
    using a = await altered(NV4, [m, 64], ({ scales }) => scales.fill(0x7f, 5, 6));
    using b = await altered(NV4, [40, 64], ({ scales }) => {
      scales.fill(0x7f, 9 * 4 + 2, 9 * 4 + 3);
      scales.fill(0, 11 * 4, 12 * 4);
    });
    await checkPair(a, b);
  });
});

describe('a long K', () => {
  const k = 140_032;

  it.each(['int8-row', 'nvfp4', 'fp8-row'])('of %s', async (name) => {
    using a = quantized(new Random(3), formatByName(name), [2, k], 'row');
    using b = quantized(new Random(4), formatByName(name), [5, k], 'blocked128x4');
    await checkPair(a, b);
    using x = sample(new Random(5), 3, k, 'bf16');
    await checkWeight(x, b);
  });
});

/** Long rows, more rows of the weight than a block has or than meet at once; ends inside of tiles. */
const FEW_ROWS = [
  [8, 40, 16_448, 'int4-g32'],
  [8, 40, 16_448, 'int8-row'],
  [16, 40, 16_448, 'nvfp4'],
  [16, 40, 16_384, 'int4-g128'],
  [16, 1_000, 4_128, 'mxfp4'],
  [16, 280_000, 32, 'int4-g32-bf16'],
] as const;

it.each(selected(FEW_ROWS, 2))('%d x %d x %d with a prepared weight in %s', async (m, n, k, name) => {
  using a = sample(new Random(m), m, k, 'bf16');
  using b = quantized(new Random(n), formatByName(name), [n, k], 'row');
  await checkWeight(a, b, { seed: k });
});
