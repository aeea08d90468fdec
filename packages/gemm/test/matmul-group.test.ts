import { onCpu, Random, referenceMatmul, selected } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  Device,
  type Factor,
  type Format,
  fp8,
  int4,
  int8,
  matmul,
  matmulGroup,
  mxfp4,
  nvfp4,
  type OperandB,
  prepare,
  quantize,
  scope,
  Tensor,
} from '../src/index.js';
import { quantized, sample } from './cases.js';
import { failure } from './failure.js';
import { denseValues, quantizedValues } from './operands.js';

const random = new Random(5);
const dense = (shape: readonly number[]) =>
  Tensor.from(random.normals(shape.reduce((x, y) => x * y)), { shape, dtype: 'bf16' });

/** Groups with extents that are no multiples of what kernels take at once, and more of them than one launch does. */
const ROWS = [48, 7, 130, 64, 33];

/** The results of a group are those of the products one by one: to the bit, since blocks have no more rows than alone. */
async function expectSame(a: Tensor<'bf16'>, factors: readonly Factor[]): Promise<void> {
  const outs = matmulGroup(a, factors);
  for (const [index, { b, bias }] of factors.entries()) {
    using out = outs[index]!;
    using single = matmul(a, b, bias ? { bias } : {});
    expect(out.shape).toEqual(single.shape);
    expect(await out.toBytes()).toEqual(await single.toBytes());
  }
}

const weight = <F extends Format>(rows: number, cols: number, format: F) =>
  scope(() => prepare(quantize(dense([rows, cols]), format)));

describe.each([1, 2, 9, 16, 40])('%d rows', (m) => {
  it.each([int4({ group: 128 }), int4({ group: 32, zeroPoint: true }), mxfp4(), nvfp4(), fp8(), int8()])(
    'several $name weights',
    async (format) => {
      using a = dense([m, 640]);
      const factors = ROWS.map((rows) => ({ b: weight(rows, 640, format), bias: dense([rows]) }));
      await expectSame(a, factors);
      for (const { b, bias } of factors) for (const one of [b, bias]) one.dispose();
    },
  );

  it('weights of all kinds', async () => {
    using a = dense([m, 256]);
    const kinds: OperandB[] = [dense([33, 256]), ...[int4(), nvfp4(), int4()].map((f) => weight(65, 256, f))];
    await expectSame(
      a,
      kinds.map((b) => ({ b })),
    );
    for (const b of kinds) b.dispose();
  });
});

// More rows than blocks of a kernel have at once, and weights that begin and end within what a block has.
const LONG = selected(
  [
    { m: 1, rows: [4500, 33, 1030, 7, 800], k: 384 },
    { m: 16, rows: [33, 4500, 7, 1030], k: 384 },
    { m: 2, rows: [4100, 1030, 1024], k: 3072 },
  ],
  1,
);
describe.each(LONG)('$m rows, weights of $rows rows', ({ m, rows, k }) => {
  it.each([int4({ group: 32, zeroPoint: true }), int4(), nvfp4(), fp8()])('$name', async (format) => {
    const random = new Random(m);
    using a = sample(random, m, k, 'bf16') as Tensor<'bf16'>;
    const values = await denseValues(a);
    const weights = rows.map((n) => quantized(random, format, [n, k], 'row'));
    const factors = weights.map((q) => ({ b: prepare(q), bias: dense([q.rows]) }));
    const outs = matmulGroup(a, factors);
    const again = matmulGroup(a, factors);
    for (const [index, { b, bias }] of factors.entries()) {
      using q = weights[index]!;
      using out = outs[index]!;
      using repeated = again[index]!;
      const product = referenceMatmul(values, await quantizedValues(q), [m, q.rows, k], {
        alpha: 1,
        bias: await denseValues(bias),
      });
      expect(await denseValues(out)).toBeWithinBound(product, { outDType: 'bf16', accumulator: 'f32' });
      expect(await repeated.toBytes()).toEqual(await out.toBytes());
      if (onCpu) {
        using single = matmul(a, b, { bias });
        expect(await single.toBytes()).toEqual(await out.toBytes());
      }
      for (const one of [b, bias]) one.dispose();
    }
  });
});

it('quantized activations are shared', async () => {
  using x = dense([3, 256]);
  using a = quantize(x, nvfp4());
  using b = weight(32, 256, nvfp4());
  using c = weight(48, 256, nvfp4());
  const outs = matmulGroup(a, [{ b }, { b: c }], { outDType: 'f32' });
  for (const [index, one] of [b, c].entries()) {
    using out = outs[index]!;
    using single = matmul(a, one, { outDType: 'f32' });
    expect(await out.toBytes()).toEqual(await single.toBytes());
  }
});

it('a factor that does not fit leaves nothing behind', async () => {
  using a = dense([2, 256]);
  using b = dense([8, 256]);
  using other = dense([8, 128]);
  await Device.default.synchronize();
  const { allocated } = Device.default.memoryStats();
  expect(failure(() => matmulGroup(a, [{ b }, { b: other }]))).toBe(
    'QUTLASS_E_SHAPE a: expected shape [.., 128] as b [N, K] = [8, 128], got [2, 256]',
  );
  await Device.default.synchronize();
  expect(Device.default.memoryStats().allocated).toBe(allocated);
});

it('no factors give no products', () => {
  using a = dense([2, 256]);
  expect(matmulGroup(a, [])).toEqual([]);
});
