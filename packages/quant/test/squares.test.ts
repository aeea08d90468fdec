import { blockedOffset, Random, roundingBits } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  dequantize,
  type MxFp8,
  mxfp8,
  quantize,
  quantizeSquares,
  scope,
  stochastic,
  Tensor,
} from '../src/index.js';
import { codesOf, sample } from './contents.js';
import { quantizeReference } from './reference.js';

const formats = [
  mxfp8(),
  mxfp8({ scale: 'rceil' }),
  mxfp8({ element: 'e5m2' }),
  mxfp8({ element: 'e5m2', scale: 'rceil' }),
];

/** Codes [rows, cols] and the bytes of the scales of squares [rows / 32, cols / 32], square by square. */
function reference(x: Float32Array, rows: number, cols: number, format: MxFp8, bits?: ArrayLike<number>) {
  const codes = new Array<number>(rows * cols);
  const scales: number[] = [];
  for (let row = 0; row < rows; row += 32) {
    for (let col = 0; col < cols; col += 32) {
      const at = Array.from({ length: 1024 }, (_, i) => (row + (i >> 5)) * cols + col + (i & 31));
      // A square in one row of a format that has a group for it.
      const square = { ...format, groupCols: 1024 };
      const pick = (from: ArrayLike<number>) => at.map((i) => from[i]!);
      const q = quantizeReference(pick(x), 1, 1024, square, bits && pick(bits));
      for (const [i, code] of q.codes.entries()) codes[at[i]!] = code;
      scales.push(Math.log2(q.scales[0]!) + 127);
    }
  }
  return { codes, scales };
}

describe.each(formats.map((format) => [format.name, format] as const))('squares of %s', (_, format) => {
  it.each([
    [32, 32],
    [96, 160],
    [128, 128],
    [160, 288],
  ])('of [%d, %d] equal the contract', async (rows, cols) => {
    const data = sample(new Random(rows + cols), rows, cols);
    for (const dtype of ['bf16', 'f32'] as const) {
      using wide = Tensor.from(data, { shape: [rows, cols] });
      using x = wide.to(dtype);
      for (const rounding of [undefined, stochastic({ seed: 6, draw: 1 })]) {
        const options = rounding ? { rounding } : {};
        const bits = rounding && roundingBits(6, 1, rows, cols);
        const expected = reference(data, rows, cols, format, bits);
        const scale = (row: number, col: number) =>
          expected.scales[Math.floor(row / 32) * (cols / 32) + Math.floor(col / 32)]!;
        const byRow = Uint8Array.from({ length: (rows * cols) / 32 }, (_, i) =>
          scale(Math.floor(i / (cols / 32)), (i % (cols / 32)) * 32),
        );
        const byColumn = Uint8Array.from({ length: (rows * cols) / 32 }, (_, i) =>
          scale((i % (rows / 32)) * 32, Math.floor(i / (rows / 32))),
        );
        using q = quantizeSquares(x, format, options);
        expect(await codesOf(q.matrix)).toEqual(expected.codes);
        expect(await q.matrix.scales.toBytes()).toEqual(byRow);
        expect(await q.columnScales.toBytes()).toEqual(byColumn);
        using blocked = quantizeSquares(x, format, { ...options, scaleLayout: 'blocked128x4' });
        expect(await blocked.matrix.scales.toBytes()).toEqual(swizzled(byRow, rows, cols / 32));
        expect(await blocked.columnScales.toBytes()).toEqual(swizzled(byColumn, cols, rows / 32));
      }
    }
  });
});

/** Scale bytes in the blocked layout, zeros in the padding. */
function swizzled(scales: Uint8Array, rows: number, groups: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(rows / 128) * Math.ceil(groups / 4) * 512);
  for (const [i, byte] of scales.entries())
    out[blockedOffset(Math.floor(i / groups), i % groups, groups)] = byte;
  return out;
}

describe('quantizeSquares', () => {
  it('has the values of the transpose in the transpose', async () => {
    using x = Tensor.random([96, 64], { dtype: 'bf16', seed: 4 });
    using q = quantizeSquares(x, mxfp8({ scale: 'rceil' }));
    using across = q.transpose();
    expect(across.shape).toEqual([64, 96]);
    using values = dequantize(q.matrix);
    using turned = dequantize(across);
    const [a, b] = [await values.toFloat32Array(), await turned.toFloat32Array()];
    expect([...b]).toEqual(Array.from(b, (_, i) => a[(i % 96) * 64 + Math.floor(i / 96)]!));
  });

  it('makes a square with a NaN NaN, and no other', async () => {
    const data = new Random(5).normals(64 * 64);
    data[40 * 64 + 3] = Number.NaN;
    using x = Tensor.from(data, { shape: [64, 64] });
    using q = quantizeSquares(x, mxfp8());
    using values = dequantize(q.matrix);
    for (const [i, value] of (await values.toFloat32Array()).entries())
      expect(Number.isNaN(value), `element ${i}`).toBe(i >= 32 * 64 && i % 64 < 32);
  });

  it('equals quantize where squares are alike', async () => {
    // Rows that repeat: the largest of a square is that of each group.
    const row = new Random(8).normals(64);
    const data = Float32Array.from({ length: 64 * 64 }, (_, i) => row[i % 64]!);
    using x = Tensor.from(data, { shape: [64, 64], dtype: 'bf16' });
    using squares = quantizeSquares(x, mxfp8());
    using groups = quantize(x, mxfp8());
    expect(await squares.matrix.codes.toBytes()).toEqual(await groups.codes.toBytes());
    expect(await squares.matrix.scales.toBytes()).toEqual(await groups.scales.toBytes());
  });

  it('outlives a scope as a whole', async () => {
    using x = Tensor.random([32, 32], { dtype: 'bf16', seed: 4 });
    using q = scope(() => quantizeSquares(x, mxfp8()));
    expect((await q.columnScales.toBytes()).length).toBe(32);
    expect(String(q)).toBe(`QuantizedSquares(QuantizedTensor(mxfp8[32, 32], ${x.device.name}))`);
  });

  it('refuses what has no whole squares', () => {
    using tall = Tensor.zeros([40, 32], 'bf16');
    expect(() => quantizeSquares(tall, mxfp8())).toThrow(
      'x: expected a matrix in squares of 32 x 32, got shape [40, 32]',
    );
    using wide = Tensor.zeros([32, 48], 'bf16');
    expect(() => quantizeSquares(wide, mxfp8())).toThrow(
      'x: expected K to be a multiple of 32, the group of mxfp8, got shape [32, 48]',
    );
    using bytes = Tensor.zeros([32, 32], 'i8');
    expect(() => quantizeSquares(bytes as unknown as Tensor<'bf16'>, mxfp8())).toThrow(
      'x: expected f32, bf16 or f16, got i8',
    );
    const q = quantizeSquares(Tensor.zeros([32, 32], 'bf16'), mxfp8());
    q.dispose();
    expect(() => q.transpose()).toThrow('quantized squares: used after dispose()');
  });
});
