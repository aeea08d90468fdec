import { expect, it } from 'vitest';
import { DTYPES, type DType } from '../dtype.js';
import { Tensor } from '../tensor.js';
import { failure } from '../test-support.js';
import { copyRows, crop, pad, sliceRows, transpose } from './data.js';

const counting = (rows: number, cols: number) =>
  Tensor.from(
    Array.from({ length: rows * cols }, (_, i) => i),
    { shape: [rows, cols] },
  );

/** A matrix of any dtype whose bytes all count. */
function bytesOf(dtype: DType, rows: number, cols: number) {
  const bytes = Uint8Array.from({ length: rows * cols * DTYPES[dtype].bytes }, (_, i) => (i * 37) % 251);
  return { bytes, tensor: Tensor.fromBytes(bytes, { shape: [rows, cols], dtype }) };
}

it.each(Object.keys(DTYPES) as DType[])('transpose moves the elements of %s', async (dtype) => {
  const width = DTYPES[dtype].bytes;
  for (const [rows, cols] of [
    [1, 1],
    [1, 70],
    [70, 1],
    [33, 65],
  ] as const) {
    const { bytes, tensor } = bytesOf(dtype, rows, cols);
    using x = tensor;
    using y = transpose(x);
    expect([y.dtype, ...y.shape]).toEqual([dtype, cols, rows]);
    const expected = new Uint8Array(bytes.length);
    for (let i = 0; i < rows; ++i) {
      for (let j = 0; j < cols; ++j) {
        const from = (i * cols + j) * width;
        expected.set(bytes.subarray(from, from + width), (j * rows + i) * width);
      }
    }
    expect(await y.toBytes()).toEqual(expected);
  }
});

it('pad fills with zeros, and crop undoes it', async () => {
  using x = counting(2, 3);
  using wide = pad(x, 3, 5);
  expect([...(await wide.toArray())]).toEqual([0, 1, 2, 0, 0, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0]);
  using back = crop(wide, 2, 3);
  expect(await back.toArray()).toEqual(await x.toArray());
  using corner = crop(x, 2, 1);
  expect([...(await corner.toArray())]).toEqual([0, 3]);
});

it('sliceRows copies rows, copyRows puts them elsewhere', async () => {
  using x = counting(4, 2);
  using middle = sliceRows(x, 1, 3);
  expect(middle.shape).toEqual([2, 2]);
  using out = Tensor.zeros([3, 2], 'f32');
  copyRows(middle, out, 1);
  // A copy: later changes of x are not seen.
  x.write(new Float32Array(8));
  expect([...(await middle.toArray())]).toEqual([2, 3, 4, 5]);
  expect([...(await out.toArray())]).toEqual([0, 0, 2, 3, 4, 5]);
});

it.each(Object.keys(DTYPES) as DType[])('pad, crop and rows move the elements of %s', async (dtype) => {
  const rowBytes = 7 * DTYPES[dtype].bytes;
  const { bytes, tensor } = bytesOf(dtype, 5, 7);
  using x = tensor;
  using padded = pad(x, 130, 9);
  const wide = await padded.toBytes();
  const stride = 9 * DTYPES[dtype].bytes;
  const kept = Uint8Array.from(
    bytes,
    (_, i) => wide[Math.floor(i / rowBytes) * stride + (i % rowBytes)] ?? 0,
  );
  expect(kept).toEqual(bytes);
  expect(wide.filter((b) => b !== 0).length).toBe(bytes.filter((b) => b !== 0).length);
  using cropped = crop(padded, 5, 7);
  expect(await cropped.toBytes()).toEqual(bytes);
  using slice = sliceRows(x, 2, 5);
  expect(await slice.toBytes()).toEqual(bytes.slice(2 * rowBytes));
  using out = Tensor.zeros([5, 7], dtype);
  copyRows(slice, out, 1);
  const expected = new Uint8Array(bytes.length);
  expected.set(bytes.subarray(2 * rowBytes), rowBytes);
  expect(await out.toBytes()).toEqual(expected);
});

it('sliceRows keeps the other dimensions', () => {
  using x = Tensor.zeros([4, 2, 3], 'bf16');
  using y = sliceRows(x, 0, 1);
  expect(y.shape).toEqual([1, 2, 3]);
});

it('refuses shapes that do not fit', () => {
  using x = counting(2, 3);
  using cube = Tensor.zeros([2, 2, 2], 'f32');
  using half = Tensor.zeros([2, 3], 'f16');
  using narrow = Tensor.zeros([2, 2], 'f32');
  // What earlier tests freed counts until their work has run.
  x.device.defaultStream.synchronizeSync();
  const { allocations } = x.device.memoryStats();
  expect(failure(() => transpose(cube))).toBe('QUTLASS_E_SHAPE x: expected a matrix, got [2, 2, 2]');
  expect(failure(() => pad(x, 1, 3))).toBe('QUTLASS_E_SHAPE shape: expected at least [2, 3], got [1, 3]');
  expect(failure(() => crop(x, 2, 4))).toBe('QUTLASS_E_SHAPE shape: expected at most [2, 3], got [2, 4]');
  expect(failure(() => crop(x, 0, 1))).toBe(
    'QUTLASS_E_SHAPE shape: expected 1 to 4 positive integers, got [0, 1]',
  );
  expect(failure(() => sliceRows(x, 1, 1))).toBe('QUTLASS_E_SHAPE rows: expected begin < end, got [1, 1)');
  expect(failure(() => sliceRows(x, 1, 3))).toMatchInlineSnapshot(
    `"QUTLASS_E_SHAPE row: expected 2 rows from it to lie in x [2, 3], got 1"`,
  );
  expect(failure(() => sliceRows(x, -1, 1))).toMatchInlineSnapshot(
    `"QUTLASS_E_SHAPE row: expected 2 rows from it to lie in x [2, 3], got -1"`,
  );
  expect(failure(() => copyRows(x, x, 1))).toMatchInlineSnapshot(
    `"QUTLASS_E_SHAPE row: expected 2 rows from it to lie in out [2, 3], got 1"`,
  );
  expect(failure(() => copyRows(half, x, 0))).toMatchInlineSnapshot(
    `"QUTLASS_E_DTYPE x: expected f32, got f16"`,
  );
  expect(failure(() => copyRows(narrow, x, 0))).toMatchInlineSnapshot(
    `"QUTLASS_E_SHAPE x: expected rows as in out [2, 3], got shape [2, 2]"`,
  );
  x.device.defaultStream.synchronizeSync();
  expect(x.device.memoryStats().allocations).toBe(allocations);
});
