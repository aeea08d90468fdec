import { onCpu, type Product, Random, referenceMatmul } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  Device,
  type FloatDType,
  type Format,
  formatByName,
  Graph,
  hadamard,
  int4,
  matmul,
  matmulExperts,
  nvfp4,
  type OperandA,
  type OperandB,
  prepare,
  type QuantizedTensor,
  quantize,
  Tensor,
  type Weight,
} from '../src/index.js';
import { failure } from './failure.js';
import { denseValues, quantizedValues } from './operands.js';

// Products of experts against float64, expert by expert, whatever the router does.

const random = new Random(41);
const matrix = <D extends FloatDType>(rows: number, cols: number, dtype: D, deviation = 1) =>
  Tensor.from(random.normals(rows * cols, deviation), { shape: [rows, cols], dtype }) as Tensor<D>;
const indices = (values: readonly number[]) =>
  Tensor.from(Int32Array.from(values), { shape: [values.length], dtype: 'i32' });

/** The offsets of experts with so many rows each. */
function offsetsOf(counts: readonly number[], first = 0): number[] {
  const offsets = [first];
  for (const count of counts) offsets.push(offsets.at(-1)! + count);
  return offsets;
}

interface Experts {
  readonly rows: number;
  readonly n: number;
  readonly k: number;
  readonly offsets: readonly number[];
}

/** alpha A W^T + bias, each row of A with the rows of W, and the bias, of its expert; zeros for rows of none. */
function reference(
  { rows, n, k, offsets }: Experts,
  a: Float64Array,
  w: Float64Array,
  { alpha = 1, bias }: { alpha?: number; bias?: Float64Array } = {},
): Product {
  const [exact, magnitude] = [new Float64Array(rows * n), new Float64Array(rows * n)];
  let begin = Math.min(Math.max(offsets[0]!, 0), rows);
  offsets.slice(1).forEach((offset, expert) => {
    const end = Math.min(Math.max(offset, begin), rows);
    const part = referenceMatmul(
      a.subarray(begin * k, end * k),
      w.subarray(expert * n * k, (expert + 1) * n * k),
      [end - begin, n, k],
      { alpha, ...(bias && { bias: bias.subarray(expert * n, (expert + 1) * n) }) },
    );
    exact.set(part.exact, begin * n);
    magnitude.set(part.magnitude, begin * n);
    begin = end;
  });
  return { exact, magnitude };
}

const valuesOf = (operand: OperandA) =>
  operand instanceof Tensor ? denseValues(operand) : quantizedValues(operand);

/** Checks the product, twice, since it repeats bit for bit. */
async function check(
  experts: Experts,
  a: OperandA,
  b: OperandB,
  bValues: Float64Array,
  { outDType = 'bf16', accumulator = 'f32' }: { outDType?: FloatDType; accumulator?: string } = {},
): Promise<void> {
  const { offsets, n } = experts;
  using device = indices(offsets);
  using bias = matrix(offsets.length - 1, n, 'f16');
  using alpha = Tensor.from([0.75], { shape: [1], dtype: 'f32' });
  const run = () => matmulExperts(a as Tensor<FloatDType>, b as Weight, device, { bias, alpha, outDType });
  using out = run();
  using again = run();
  expect(out.shape).toEqual([experts.rows, n]);
  expect(out.dtype).toBe(outDType);
  const product = reference(experts, await valuesOf(a), bValues, {
    alpha: 0.75,
    bias: await denseValues(bias),
  });
  expect(await denseValues(out)).toBeWithinBound(product, { outDType, accumulator });
  expect(await again.toBytes()).toEqual(await out.toBytes());
}

/** Weights of so many experts, prepared, and as they are. */
async function weights(count: number, n: number, k: number, format: Format) {
  using dense = matrix(count * n, k, 'bf16');
  const plain = quantize(dense, format) as QuantizedTensor;
  const prepared = prepare(plain);
  return {
    plain,
    prepared,
    values: await quantizedValues(plain),
    [Symbol.dispose]: () => {
      plain.dispose();
      prepared.dispose();
    },
  };
}

const FORMATS = [
  'int4-g128',
  'int4-g128-asym',
  'int4-g32-asym',
  'int4-row',
  'mxfp4',
  'nvfp4',
  'int8-row',
  'int8-row-asym',
  'fp8-row',
  'fp8-128x128',
  'mxfp8',
  'nf4',
].map(formatByName);

/** What routers do, and extents at which kernels differ: 32, 16 and 1 divide N. */
const CASES = [
  { name: 'some experts with few rows', n: 96, k: 384, counts: [2, 0, 5, 1, 0, 0, 3, 1] },
  { name: 'one row', n: 64, k: 256, counts: [0, 0, 1, 0] },
  { name: 'one expert', n: 96, k: 384, counts: [7] },
  { name: 'all rows to one of many', n: 64, k: 384, counts: [0, 0, 0, 41, 0, 0] },
  { name: 'several passes of some', n: 128, k: 256, counts: [17, 33, 0, 9, 16, 1] },
  { name: 'many rows for each', n: 64, k: 256, counts: [150, 60] },
  { name: 'no rows', n: 32, k: 128, counts: [0, 0, 0], none: 4 },
  { name: 'half of what a warp takes', n: 48, k: 256, counts: [3, 0, 9, 2] },
  { name: 'rows that are no multiple', n: 21, k: 256, counts: [3, 1, 0, 20] },
];

describe.each(CASES)('$name: N = $n, K = $k, rows $counts', ({ n, k, counts, none = 0 }) => {
  const offsets = offsetsOf(counts);
  const experts = { rows: offsets.at(-1)! + none, n, k, offsets };

  it.each(FORMATS)('$name', async (format) => {
    using b = await weights(counts.length, n, k, format);
    using a = matrix(experts.rows, k, 'bf16');
    await check(experts, a, b.prepared, b.values);
    await check(experts, a, b.plain, b.values, { outDType: 'f32' });
  });

  it.each(['f32', 'f16'] as const)('%s rows', async (dtype) => {
    using b = await weights(counts.length, n, k, nvfp4());
    using a = matrix(experts.rows, k, dtype);
    await check(experts, a, b.prepared, b.values, { outDType: dtype });
  });
});

it.each(['mxfp4', 'nvfp4', 'int4-g32', 'int8-row'])('K = 2880 in %s', async (name) => {
  const experts = { rows: 9, n: 96, k: 2880, offsets: offsetsOf([4, 0, 1, 4]) };
  using b = await weights(4, experts.n, experts.k, formatByName(name));
  using a = matrix(experts.rows, experts.k, 'bf16');
  await check(experts, a, b.prepared, b.values);
});

// Of a GPU: blocks of a CPU keep no sums for later.
it.runIf(!onCpu).each(['int4-g32', 'nvfp4', 'int8-row'])(
  'more sums than a block has room for: %s',
  async (name) => {
    const counts = [100, 20, 60, 90, 31, 99, 80, 20];
    const experts = { rows: 500, n: 4096, k: 128, offsets: offsetsOf(counts) };
    using b = await weights(counts.length, experts.n, experts.k, formatByName(name));
    using a = matrix(experts.rows, experts.k, 'bf16');
    await check(experts, a, b.prepared, b.values);
  },
);

it('more experts than a block has threads', async () => {
  const counts = Array.from({ length: 600 }, (_, i) => (((i * 7) % 5) & 2 ? 1 : i === 599 ? 20 : 0));
  const offsets = offsetsOf(counts);
  const experts = { rows: offsets.at(-1)!, n: 32, k: 64, offsets };
  using b = await weights(counts.length, experts.n, experts.k, int4({ group: 32 }));
  using a = matrix(experts.rows, experts.k, 'bf16');
  await check(experts, a, b.prepared, b.values);
  using other = matrix(experts.rows, experts.k, 'f16');
  await check(experts, other, b.prepared, b.values);
});

const DENSE = ['f32', 'bf16', 'f16'] as const;
it.each(DENSE)('dense weights in %s', async (dtype) => {
  const experts = { rows: 12, n: 40, k: 96, offsets: offsetsOf([5, 0, 7]) };
  using b = matrix(3 * experts.n, experts.k, dtype);
  for (const other of DENSE) {
    using a = matrix(experts.rows, experts.k, other);
    await check(experts, a, b, await denseValues(b), { outDType: other });
  }
});

it.each([
  ['nvfp4', 'nvfp4', 'f32'],
  ['mxfp4', 'mxfp8', 'f32'],
  ['fp8-row', 'fp8-row', 'f32'],
  ['int8-row', 'int8-row', 'i32'],
  ['int8-row-asym', 'int4-g32', 'i32'],
])('rows in %s, weights in %s', async (left, right, accumulator) => {
  const experts = { rows: 30, n: 66, k: 256, offsets: offsetsOf([3, 0, 20, 7]) };
  using b = await weights(4, experts.n, experts.k, formatByName(right));
  using dense = matrix(experts.rows, experts.k, 'bf16');
  using a = quantize(dense, formatByName(left));
  await check(experts, a, b.prepared, b.values, { accumulator });
  if (left === 'int8-row-asym') return;
  // Quantized on the way it is the same.
  using offsets = indices(experts.offsets);
  using whole = matmulExperts(a, b.prepared as never, offsets, { outDType: 'f32' });
  const options = { activations: formatByName(left), outDType: 'f32' } as const;
  using onTheWay = matmulExperts(dense, b.prepared as never, offsets, options as never) as Tensor;
  expect(await onTheWay.toBytes()).toEqual(await whole.toBytes());
});

it.each(['blocked128x4', 'row'] as const)('scales in %s layout', async (scaleLayout) => {
  // Experts begin within the groups of others.
  const experts = { rows: 10, n: 80, k: 256, offsets: offsetsOf([4, 0, 6]) };
  using dense = matrix(3 * experts.n, experts.k, 'bf16');
  using b = quantize(dense, nvfp4(), { scaleLayout });
  using left = matrix(experts.rows, experts.k, 'bf16');
  await check(experts, left, b, await quantizedValues(b));
  using a = quantize(left, nvfp4(), { scaleLayout });
  await check(experts, a, b, await quantizedValues(b));
});

it('a rotated weight rotates the rows', async () => {
  const experts = { rows: 8, n: 32, k: 128, offsets: offsetsOf([3, 5]) };
  const by = hadamard(32);
  using w = matrix(64, experts.k, 'bf16');
  using rotated = quantize(w, int4({ group: 32 }), { rotation: by });
  using b = prepare(rotated);
  using a = matrix(experts.rows, experts.k, 'bf16');
  using offsets = indices(experts.offsets);
  using out = matmulExperts(a, b, offsets, { outDType: 'f32' });
  // The definition of a product with a rotated weight is matmul's.
  using whole = matmul(a, rotated, { outDType: 'f32' });
  const [all, values] = [await whole.toArray(), await out.toArray()];
  for (let row = 0; row < experts.rows; ++row) {
    const expert = row < 3 ? 0 : 1;
    for (let col = 0; col < experts.n; ++col) {
      const expected = all[row * 64 + expert * experts.n + col]!;
      expect(Math.abs(values[row * experts.n + col]! - expected)).toBeLessThan(1e-3);
    }
  }
});

it.runIf(onCpu)('int8 accuracy is that of matmul', async () => {
  using b = await weights(2, 48, 256, int4());
  using a = matrix(6, 256, 'f32');
  using offsets = indices([0, 6, 6]);
  using out = matmulExperts(a, b.prepared, offsets, { accuracy: 'int8' });
  using whole = matmul(a, b.prepared, { accuracy: 'int8' });
  const [all, values] = [await whole.toArray(), await out.toArray()];
  for (let row = 0; row < 6; ++row) {
    expect(values.slice(row * 48, row * 48 + 48)).toEqual(all.slice(row * 96, row * 96 + 48));
  }
});

/** Offsets that no router should make: nothing outside is touched, and each row is of one expert at most. */
it.each([
  { name: 'rows before and after', offsets: [2, 4, 4, 9] },
  { name: 'decreasing', offsets: [0, 8, 3, 10] },
  { name: 'beyond the rows', offsets: [0, 4, 900, 12] },
  { name: 'far beyond', offsets: [-2147483648, 2147483647, 5, -7] },
  { name: 'negative', offsets: [-5, -1, 6, 12] },
])('offsets: $name', async ({ offsets }) => {
  for (const [n, dtype] of [
    [64, 'bf16'],
    [21, 'f32'],
  ] as const) {
    const experts = { rows: 12, n, k: 128, offsets };
    using b = await weights(3, n, experts.k, nvfp4());
    using a = matrix(experts.rows, experts.k, dtype);
    await check(experts, a, b.prepared, b.values);
  }
});

it('a graph follows the offsets', async () => {
  const [rows, n, k] = [24, 64, 256];
  using b = await weights(6, n, k, nvfp4());
  using a = matrix(rows, k, 'bf16');
  using offsets = indices(offsetsOf([24, 0, 0, 0, 0, 0]));
  let out: Tensor<FloatDType> | undefined;
  using graph = Graph.capture(Device.default, () => {
    out = matmulExperts(a, b.prepared, offsets);
  });
  using result = out!;
  for (const counts of [
    [4, 4, 4, 4, 4, 4],
    [0, 24, 0, 0, 0, 0],
    [1, 0, 9, 0, 3, 2],
  ]) {
    const values = offsetsOf(counts);
    offsets.write(Int32Array.from(values));
    graph.launch();
    const product = reference({ rows, n, k, offsets: values }, await denseValues(a), b.values);
    expect(await denseValues(result)).toBeWithinBound(product, { outDType: 'bf16', accumulator: 'f32' });
    using now = matmulExperts(a, b.prepared, offsets);
    expect(await result.toBytes()).toEqual(await now.toBytes());
  }
});

it.each([
  { offsets: [0], message: 'QUTLASS_E_SHAPE offsets: expected shape [E + 1], got [1]' },
  {
    offsets: [0, 1, 2, 3, 4, 4],
    message: 'QUTLASS_E_SHAPE b: expected shape [5 * N, K], the rows of 5 experts, got [96, 128]',
  },
  {
    offsets: [0, 1, 4],
    biasShape: [48],
    message: 'QUTLASS_E_SHAPE bias: expected shape [2, 48], got [48]',
  },
  {
    offsets: [0, 1, 4],
    biasShape: [2, 96],
    message: 'QUTLASS_E_SHAPE bias: expected shape [2, 48], got [2, 96]',
  },
  { offsets: [0, 1, 4], dtype: 'f32', message: 'QUTLASS_E_DTYPE offsets: expected i32, got f32' },
  {
    offsets: [0, 4],
    shape: [1, 2],
    message: 'QUTLASS_E_SHAPE offsets: expected shape [E + 1], got [1, 2]',
  },
])('$message', ({ offsets, shape = [offsets.length], dtype = 'i32', biasShape, message }) => {
  using a = matrix(4, 128, 'bf16');
  using b = matrix(96, 128, 'bf16');
  using floats = Tensor.from(offsets, { shape, dtype: 'f32' });
  using integers = Tensor.from(Int32Array.from(offsets), { shape, dtype: 'i32' });
  using bias = biasShape && Tensor.zeros(biasShape, 'bf16');
  const given = dtype === 'i32' ? integers : (floats as unknown as Tensor<'i32'>);
  expect(failure(() => matmulExperts(a, b, given, { bias }))).toBe(message);
});
