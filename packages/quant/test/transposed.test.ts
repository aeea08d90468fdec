import { bf16Value, Random, roundingBits } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  dequantize,
  FORMATS,
  type Format,
  formatByName,
  hadamard,
  identity,
  int4,
  int8,
  mxfp4,
  mxfp8,
  nvfp4,
  paddedCols,
  type QuantizedTensor,
  quantize,
  quantizeTransposed,
  type Rotation,
  rotation,
  stochastic,
  Tensor,
  transpose,
} from '../src/index.js';
import { codesOf, sample, scalesOf } from './contents.js';
import { quantizeReference } from './reference.js';
import { hadamardMatrix, rotated } from './rotated.js';

/** The transpose of a matrix [rows, cols]. */
function transposed(x: ArrayLike<number>, rows: number, cols: number): Float32Array {
  return Float32Array.from({ length: rows * cols }, (_, i) => x[(i % rows) * cols + Math.floor(i / rows)]!);
}

async function expectContents(
  q: QuantizedTensor,
  expected: ReturnType<typeof quantizeReference>,
): Promise<void> {
  expect(await scalesOf(q)).toEqual(expected.scales);
  expect(await codesOf(q)).toEqual(expected.codes);
  if (q.zeroPoints) expect([...(await q.zeroPoints.toArray())]).toEqual(expected.zeroPoints);
  if (q.globalScale)
    expect(await q.globalScale.toFloat32Array()).toEqual(Float32Array.of(expected.globalScale));
}

describe.each(FORMATS.map((format) => [format.name, format] as const))('%s', (_, format: Format) => {
  // Rows of the matrix, which become columns: more than a window, and whole groups.
  const shapes = [
    [paddedCols(format, 160), 72],
    [paddedCols(format, 30), 5],
  ] as const;

  it.each(shapes)('of the transpose of [%d, %d] equals the contract', async (rows, cols) => {
    const data = sample(new Random(rows), rows, cols);
    const across = transposed(data, rows, cols);
    for (const dtype of ['bf16', 'f32'] as const) {
      using wide = Tensor.from(data, { shape: [rows, cols] });
      using x = wide.to(dtype);
      using q = quantizeTransposed(x, format);
      expect(q.shape).toEqual([cols, rows]);
      await expectContents(q, quantizeReference(across, cols, rows, format));
      using drawn = quantizeTransposed(x, format, { rounding: stochastic({ seed: 3, draw: 4 }) });
      const bits = roundingBits(3, 4, cols, rows);
      await expectContents(drawn, quantizeReference(across, cols, rows, format, bits));
    }
  });
});

describe('quantizeTransposed', () => {
  const sources = ['mxfp4-abs_max', 'nvfp4', 'int8-row', 'int4-g32-asym-bf16', 'nf4-g32', 'fp8-128x128'];
  it.each(sources.map((name) => [name, formatByName(name)] as const))(
    'of %s takes its values in bf16',
    async (_, source) => {
      const [rows, cols] = [96, 128];
      using x = Tensor.from(sample(new Random(2), rows, cols), { shape: [rows, cols] });
      using q = quantize(x, source);
      using values = dequantize(q, { dtype: 'bf16' });
      const across = transposed(await values.toFloat32Array(), rows, cols);
      for (const format of [mxfp4({ scale: 'abs_max' }), mxfp8({ scale: 'rceil' }), nvfp4(), int8()]) {
        using actual = quantizeTransposed(q, format);
        await expectContents(actual, quantizeReference(across, cols, rows, format));
      }
    },
  );

  it('leaves a rotated matrix in the rotated basis', async () => {
    using x = Tensor.random([64, 128], { dtype: 'bf16', seed: 2 });
    using q = quantize(x, mxfp4(), { rotation: hadamard(32) });
    using values = dequantize(q, { dtype: 'bf16', rotated: true });
    using expected = quantizeTransposed(values, mxfp8());
    using actual = quantizeTransposed(q, mxfp8());
    expect(actual.rotation).toBeUndefined();
    expect(await actual.codes.toBytes()).toEqual(await expected.codes.toBytes());
  });

  const random = new Random(6);
  const matrices = [16, 32, 64, 128, 48].map((size) => random.normals(size * size, size ** -0.5));
  const rotations: [Rotation, readonly number[]][] = [
    ...[4, 16, 32, 64, 128, 256].map((size): [Rotation, number[]] => [hadamard(size), hadamardMatrix(size)]),
    ...matrices.map((matrix): [Rotation, number[]] => {
      const size = Math.sqrt(matrix.length);
      const by = rotation(matrix, size);
      return [by, (by.toJSON() as { bits: number[] }).bits.map(bf16Value)];
    }),
  ];
  it.each(rotations.map(([by, matrix]) => [String(by), by, matrix] as const))(
    'rotates along the rows of x: %s',
    async (_, by, matrix) => {
      const [rows, cols] = [768, 40];
      const data = sample(random, rows, cols);
      const exact = Float32Array.from(rotated(transposed(data, rows, cols), matrix, by.size));
      using wide = Tensor.from(data, { shape: [rows, cols] });
      using x = wide.to('bf16');
      for (const format of [mxfp4(), int4({ group: 32 }), mxfp8({ scale: 'rceil' })]) {
        using q = quantizeTransposed(x, format, { rotation: by });
        const expected = quantizeReference(exact, cols, rows, format).codes;
        const differences = (await codesOf(q)).filter((code, i) => code !== expected[i]).length;
        // 1e-4, and what a scale that differs by a step does to its group.
        expect(differences).toBeLessThanOrEqual(rows * cols * 1e-4 + 32);
        expect(q.rotation ?? identity()).toBe(by);
      }
    },
  );

  it.each(['nvfp4', 'nvfp4-4over6'])('finds the global scale of %s behind a rotation', async (name) => {
    const format = formatByName(name);
    using x = Tensor.random([256, 96], { dtype: 'bf16', seed: 7 });
    using copy = transpose(x);
    for (const by of [identity(), hadamard(16), hadamard(128), hadamard(256)]) {
      using actual = quantizeTransposed(x, format, { rotation: by });
      using expected = quantize(copy, format, { rotation: by });
      const [a, b] = [
        await actual.globalScale!.toFloat32Array(),
        await expected.globalScale!.toFloat32Array(),
      ];
      expect(Math.abs(a[0]! / b[0]! - 1)).toBeLessThan(1e-5);
    }
  });

  it('contains NaN in the group of its column', async () => {
    const data = new Random(1).normals(64 * 16);
    data[40 * 16 + 3] = Number.NaN;
    using x = Tensor.from(data, { shape: [64, 16], dtype: 'bf16' });
    using values = dequantize(quantizeTransposed(x, mxfp8()));
    const nans = [...(await values.toFloat32Array()).entries()].filter(([, value]) => Number.isNaN(value));
    expect(nans.map(([i]) => i)).toEqual(Array.from({ length: 32 }, (_, i) => 3 * 64 + 32 + i));
  });

  it('writes blocked scales and clip masks', async () => {
    using x = Tensor.random([160, 130], { dtype: 'bf16', seed: 3 });
    using copy = transpose(x);
    const options = { scaleLayout: 'blocked128x4', clipMask: true } as const;
    const format = mxfp4({ scale: 'quest' });
    using actual = quantizeTransposed(x, format, options);
    using expected = quantize(copy, format, options);
    expect(await actual.scales.toBytes()).toEqual(await expected.scales.toBytes());
    expect(await actual.codes.toBytes()).toEqual(await expected.codes.toBytes());
    expect(await actual.clipMask!.toBytes()).toEqual(await expected.clipMask!.toBytes());
  });

  it('refuses what does not fit', () => {
    const text = (body: () => unknown) => {
      try {
        body();
      } catch (error) {
        return `${(error as { code: string }).code} ${(error as Error).message}`;
      }
      throw new Error('expected an error');
    };
    using x = Tensor.zeros([40, 64], 'bf16');
    expect(text(() => quantizeTransposed(x, mxfp4()))).toBe(
      'QUTLASS_E_SHAPE x: expected the rows to be a multiple of 32, the group of mxfp4, got shape [40, 64]',
    );
    expect(text(() => quantizeTransposed(x, int8(), { rotation: hadamard(16) }))).toBe(
      'QUTLASS_E_SHAPE x: expected the rows to be a multiple of 16, the size of the rotation, got shape [40, 64]',
    );
    using bytes = Tensor.zeros([32, 64], 'u8');
    expect(text(() => quantizeTransposed(bytes as unknown as Tensor<'bf16'>, mxfp4()))).toBe(
      'QUTLASS_E_DTYPE x: expected f32, bf16 or f16, got u8',
    );
    const gone = quantize(x, int8());
    gone.dispose();
    expect(text(() => quantizeTransposed(gone, int8()))).toBe(
      'QUTLASS_E_DISPOSED quantized tensor: used after dispose()',
    );
  });
});
