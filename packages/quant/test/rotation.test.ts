import { bf16Bits, bf16Value, Random, roundBf16 } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  dequantize,
  hadamard,
  identity,
  int4,
  mxfp4,
  nvfp4,
  quantize,
  type Rotation,
  rotate,
  rotation,
  rotationFromJSON,
  Tensor,
} from '../src/index.js';
import { hadamardMatrix, rotated, sylvester } from './rotated.js';

const [ROWS, COLS] = [24, 512];

/** A random orthogonal matrix: Gram-Schmidt on normal rows. */
function orthogonal(size: number, random: Random): Float32Array {
  const rows: number[][] = [];
  for (let i = 0; i < size; ++i) {
    const row = Array.from({ length: size }, () => random.normal());
    for (const other of rows) {
      const dot = row.reduce((sum, value, j) => sum + value * other[j]!, 0);
      for (let j = 0; j < size; ++j) row[j]! -= dot * other[j]!;
    }
    const norm = Math.hypot(...row);
    rows.push(row.map((value) => value / norm));
  }
  return Float32Array.from(rows.flat());
}

const data = new Random(7).normals(ROWS * COLS);

const cases: [string, Rotation, number[]][] = [
  ...[2, 16, 32, 64, 128, 256, 512].map((size): [string, Rotation, number[]] => [
    `hadamard(${size})`,
    hadamard(size),
    hadamardMatrix(size),
  ]),
  ...[3, 5].map((seed): [string, Rotation, number[]] => {
    const random = hadamard(64, { seed });
    // The signs are not public; their matrix is what rotates the identity.
    return [`hadamard(64, seed ${seed})`, random, []];
  }),
  ...[8, 32, 128].map((size): [string, Rotation, number[]] => {
    const matrix = orthogonal(size, new Random(size));
    return [`rotation(${size})`, rotation(matrix, size), [...matrix].map((v) => bf16Value(bf16Bits(v)))];
  }),
];

describe.each(cases)('%s', (_, by, matrix) => {
  it('multiplies by its matrix', async () => {
    if (matrix.length === 0) matrix.push(...(await matrixOf(by)));
    using x = Tensor.from(data, { shape: [ROWS, COLS] });
    using y = rotate(x, by);
    const expected = rotated(data, matrix, by.size);
    const actual = await y.toFloat32Array();
    const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
    expect(worst).toBeLessThan(1e-5);
  });

  it('has a gain of nearly 1, that of its matrix', async () => {
    if (matrix.length === 0) matrix.push(...(await matrixOf(by)));
    const gain = matrix.reduce((sum, value) => sum + value * value, 0) / by.size;
    expect(by.gain).toBeCloseTo(gain, 10);
    expect(Math.abs(by.gain - 1)).toBeLessThan(5e-3);
  });

  it.each([
    ['mxfp4', mxfp4()],
    ['nvfp4', nvfp4()],
    ['int4', int4({ group: 32 })],
  ] as const)('is undone by dequantize of %s', async (_name, format) => {
    using x = Tensor.from(data, { shape: [ROWS, COLS] });
    using q = quantize(x, format, { rotation: by });
    using back = dequantize(q);
    expect(relativeError(await back.toFloat32Array(), data)).toBeLessThan(0.03);
  });

  it('changes at most 1e-4 of the codes against rotating in float64', async () => {
    if (matrix.length === 0) matrix.push(...(await matrixOf(by)));
    const exact = Float32Array.from(rotated(data, matrix, by.size));
    using x = Tensor.from(data, { shape: [ROWS, COLS] });
    using y = Tensor.from(exact, { shape: [ROWS, COLS] });
    using fused = quantize(x, mxfp4(), { rotation: by });
    using separate = quantize(y, mxfp4());
    const [a, b] = [await fused.codes.toBytes(), await separate.codes.toBytes()];
    const different = a.reduce((count, byte, i) => {
      const difference = byte ^ b[i]!;
      return count + (difference & 15 ? 1 : 0) + (difference & 240 ? 1 : 0);
    }, 0);
    expect(different).toBeLessThanOrEqual(ROWS * COLS * 1e-4);
  });

  it('survives JSON', async () => {
    const again = rotationFromJSON(JSON.parse(JSON.stringify(by)));
    expect(again.equals(by)).toBe(true);
    expect(again.gain).toBe(by.gain);
    expect(String(again)).toBe(String(by));
  });
});

/** The rows of the matrix, as the images of unit vectors. */
async function matrixOf(by: Rotation): Promise<number[]> {
  const { size } = by;
  const unit = Float32Array.from({ length: size * size }, (_, i) =>
    Math.floor(i / size) === i % size ? 1 : 0,
  );
  using x = Tensor.from(unit, { shape: [size, size] });
  using y = rotate(x, by);
  const matrix = [...(await y.toFloat32Array())];
  const entry = roundBf16(size ** -0.5);
  // A sign per row, and a Hadamard matrix but for it.
  for (let i = 0; i < size; ++i) {
    const sign = matrix[i * size]! / entry;
    expect(Math.abs(sign)).toBe(1);
    for (let j = 0; j < size; ++j) expect(matrix[i * size + j]).toBe(sign * sylvester(i, j) * entry);
  }
  return matrix;
}

function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let total = 0;
  for (let i = 0; i < expected.length; ++i) {
    difference += (actual[i]! - expected[i]!) ** 2;
    total += expected[i]! ** 2;
  }
  return difference / total;
}

describe('rotations', () => {
  it('are equal when they rotate alike', () => {
    expect(hadamard(16).equals(hadamard(16))).toBe(true);
    expect(hadamard(16).equals(hadamard(32))).toBe(false);
    expect(hadamard(16).equals(hadamard(16, { seed: 1 }))).toBe(false);
    expect(hadamard(16, { seed: 1 }).equals(hadamard(16, { seed: 1 }))).toBe(true);
    expect(hadamard(16, { seed: 1 }).equals(hadamard(16, { seed: 2 }))).toBe(false);
    expect(identity().equals(identity())).toBe(true);
  });

  it('leave codes as they are when they are the identity', async () => {
    using x = Tensor.from(data, { shape: [ROWS, COLS] });
    using plain = quantize(x, nvfp4());
    using same = quantize(x, nvfp4(), { rotation: identity() });
    expect(await same.codes.toBytes()).toEqual(await plain.codes.toBytes());
    expect(same.rotation).toBeUndefined();
  });

  it('leave Gaussian errors as they are and help with outliers', async () => {
    const outliers = data.map((value, i) => (i % 128 === 0 ? value * 20 : value));
    const error = async (values: Float32Array, by: Rotation) => {
      using x = Tensor.from(values, { shape: [ROWS, COLS] });
      using back = dequantize(quantize(x, int4(), { rotation: by }));
      return relativeError(await back.toFloat32Array(), values);
    };
    expect((await error(outliers, hadamard(128))) / (await error(outliers, identity()))).toBeLessThan(0.2);
    const ratio = (await error(data, hadamard(128))) / (await error(data, identity()));
    expect(Math.abs(ratio - 1)).toBeLessThan(0.05);
  });

  it.each([16, 32, 64, 128])('give the clip mask of quest for size %i', async (size) => {
    using x = Tensor.from(data, { shape: [ROWS, COLS] });
    using q = quantize(x, mxfp4({ scale: 'quest' }), { rotation: hadamard(size), clipMask: true });
    const mask = await q.clipMask!.toBytes();
    const scales = await q.scales.toBytes();
    const y = rotated(data, hadamardMatrix(size), size);
    let different = 0;
    for (const [i, value] of y.entries()) {
      const inside = Math.abs(value) / 2 ** (scales[Math.floor(i / 32)]! - 127) < 6;
      different += Number(inside !== Boolean((mask[i >> 3]! >> (i & 7)) & 1));
    }
    expect(different).toBeLessThanOrEqual(y.length * 1e-4);
    expect(mask.some((byte) => byte !== 255)).toBe(true);
  });

  it('refuse sizes and matrices that make no sense', () => {
    expect(() => hadamard(24)).toThrow('size: expected a power of two from 2 to 16384, got 24');
    expect(() => hadamard(32768)).toThrow('size: expected a power of two from 2 to 16384, got 32768');
    expect(() => rotation([1, 0, 0], 2)).toThrow('matrix: expected 2 x 2 elements, got 3');
    expect(() => rotation([0, 0, 0, 0], 2)).toThrow(
      'matrix: expected finite elements, not all zero, got a squared norm of 0',
    );
    expect(() => rotation([Number.NaN, 0, 0, 1], 2)).toThrow(
      'matrix: expected finite elements, not all zero, got a squared norm of NaN',
    );
  });
});
