import { type Product, Random, referenceMatmul } from '@qutlass/test-support';
import fc from 'fast-check';
import { expect } from 'vitest';
import {
  type FloatDType,
  type Format,
  type OperandA,
  type OperandB,
  paddedCols,
  type QuantizedTensor,
  quantize,
  type Rotation,
  type ScaleLayout,
  Tensor,
} from '../src/index.js';
import { attempt, denseValues, KERNELS } from './operands.js';

// Random products: what they are made of, and the comparison of every kernel with float64.

const floatDType = fc.constantFrom<FloatDType>('f32', 'bf16', 'f16');
const layout = fc.constantFrom<ScaleLayout>('row', 'blocked128x4');

/** The cases are the same in every run. */
export const SEED = 20260101;

/** Everything about a product but its formats. */
export const cases = fc.record({
  seed: fc.nat(),
  m: fc.constantFrom(1, 2, 3, 5, 9, 17, 33),
  n: fc.constantFrom(1, 2, 7, 8, 13, 16, 31, 33),
  groups: fc.constantFrom(1, 2, 3, 5),
  aDType: floatDType,
  bDType: floatDType,
  outDType: floatDType,
  bias: fc.option(floatDType),
  alpha: fc.option(fc.record({ value: fc.double({ min: -3, max: 3, noNaN: true }), onDevice: fc.boolean() })),
  aLayout: layout,
  bLayout: layout,
  prepared: fc.boolean(),
  /** Leading dimensions of a dense a. */
  leading: fc.boolean(),
});
export type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** What a product is besides its operands. */
export type Setting = Pick<Case, 'seed' | 'outDType' | 'bias' | 'alpha'>;

/** A float tensor of numbers whose rows differ in size. */
export function sample(random: Random, rows: number, cols: number, dtype: FloatDType): Tensor<FloatDType> {
  const data = random.normals(rows * cols);
  for (let row = 0; row < rows; ++row) {
    const size = 2 ** random.integer(-4, 3);
    for (let col = 0; col < cols; ++col) data[row * cols + col]! *= size;
  }
  return Tensor.from(data, { shape: [rows, cols], dtype });
}

const blockable = (format: Format) => format.scaleDType === 'f8e8m0' || format.scaleDType === 'f8e4m3';

/** Such numbers in a format; the layout is for scales of one byte. */
export function quantized(
  random: Random,
  format: Format,
  [rows, cols]: readonly [number, number],
  scaleLayout: ScaleLayout,
  rotation?: Rotation,
): QuantizedTensor {
  using x = sample(random, rows, cols, 'bf16');
  return quantize(x, format, {
    scaleLayout: blockable(format) ? scaleLayout : 'row',
    ...(rotation && { rotation }),
  });
}

/** The reference multiplies these values in place of the operands' own. */
interface Values {
  readonly a: Float64Array;
  readonly b: Float64Array;
  /** Divides alpha. */
  readonly gain?: number;
  /** What rounding errors of A are measured against, if not its own values; these are then made in float32. */
  readonly aMagnitude?: Float64Array;
}

/** Multiplies with every kernel and compares with float64; at least one kernel has to accept the problem. */
export async function check(c: Setting, a: OperandA, b: OperandB, values: Values): Promise<void> {
  const random = new Random(c.seed ^ 0x5eed);
  const [n, k] = b.shape as readonly [number, number];
  using bias = c.bias === null ? undefined : Tensor.from(random.normals(n), { shape: [n], dtype: c.bias });
  using alpha =
    c.alpha?.onDevice === true ? Tensor.from([c.alpha.value], { shape: [1], dtype: 'f32' }) : undefined;
  const extent = [values.a.length / k, n, k] as const;
  const epilogue = {
    // alpha is a float32, with the gain in it.
    alpha:
      alpha === undefined
        ? Math.fround((c.alpha?.value ?? 1) / (values.gain ?? 1))
        : Math.fround(c.alpha?.value ?? 1) * Math.fround(1 / (values.gain ?? 1)),
    ...(bias && { bias: await denseValues(bias) }),
  };
  let product: Product = referenceMatmul(values.a, values.b, extent, epilogue);
  if (values.aMagnitude) {
    const { magnitude } = referenceMatmul(values.aMagnitude, values.b, extent, epilogue);
    product = { ...product, magnitude };
  }

  const factor = alpha ?? c.alpha?.value;
  let accepted = 0;
  for (const kernel of KERNELS) {
    using out = attempt(kernel, a, b, {
      outDType: c.outDType,
      ...(bias && { bias }),
      ...(factor !== undefined && { alpha: factor }),
    });
    if (!out) continue;
    ++accepted;
    expect(out.shape).toEqual([...a.shape.slice(0, -1), n]);
    expect(await denseValues(out), kernel.name).toBeWithinBound(product, {
      outDType: c.outDType,
      // Rotating A rounds as float32 does, whatever the sums are kept in.
      accumulator: values.aMagnitude && kernel.accumulator !== 'f22' ? 'f32' : kernel.accumulator,
    });
  }
  expect(accepted).toBeGreaterThan(0);
}

/** K of so many groups of both formats and blocks of the rotation. */
export function innerExtent(groups: number, formats: readonly Format[], rotationSize = 1): number {
  // Groups are powers of two, and so are rotations: the largest holds the others.
  const step = Math.max(...formats.map((format) => paddedCols(format, 1, rotationSize)));
  return step * groups;
}
