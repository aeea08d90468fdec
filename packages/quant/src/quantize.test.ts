import { otherDevice } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  Device,
  dequantize,
  fp8,
  globalScale,
  hadamard,
  int4,
  int8,
  mxfp4,
  nvfp4,
  QuantizedTensor,
  QutlassError,
  quantize,
  rowScales,
  Tensor,
} from './index.js';

const device = Device.default;
const other = otherDevice(Device);

/** Blocks in use once everything enqueued has run, frees included. */
function allocations(): number {
  device.defaultStream.synchronizeSync();
  return device.memoryStats().allocations;
}

/** The code and text of the error, after checking that nothing was kept. */
function failure(body: () => unknown): string {
  const before = allocations();
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(QutlassError);
    expect(allocations()).toBe(before);
    const { code, message } = error as QutlassError;
    return `${code} ${message}`;
  }
  throw new Error('expected an error');
}

const matrix = (rows: number, cols: number, on = device) => Tensor.zeros([rows, cols], 'f32', on);

describe('quantize', () => {
  it('flattens leading dimensions into rows', () => {
    using x = Tensor.zeros([2, 3, 32], 'bf16');
    using q = quantize(x, mxfp4());
    expect(q.shape).toEqual([6, 32]);
    expect(q.scales.shape).toEqual([6, 1]);
    expect(q.codes.shape).toEqual([6, 16]);
    expect(q.toString()).toBe(`QuantizedTensor(mxfp4[6, 32], ${device.name})`);
  });

  it('refuses a K that is not a multiple of the group', () => {
    using x = matrix(2, 40);
    expect(failure(() => quantize(x, mxfp4()))).toBe(
      'QUTLASS_E_SHAPE x: expected K to be a multiple of 32, the group of mxfp4, got shape [2, 40]',
    );
    using odd = matrix(2, 33);
    expect(failure(() => quantize(odd, int4({ group: 'row' })))).toBe(
      'QUTLASS_E_SHAPE x: expected K to be a multiple of 2, the group of int4-row, got shape [2, 33]',
    );
  });

  it('refuses a K that is not a multiple of the rotation', () => {
    using x = matrix(2, 96);
    expect(failure(() => quantize(x, mxfp4(), { rotation: hadamard(64) }))).toBe(
      'QUTLASS_E_SHAPE x: expected K to be a multiple of 64, the size of the rotation, got shape [2, 96]',
    );
  });

  it('refuses what is not a float tensor', () => {
    using x = Tensor.zeros([2, 32], 'i8');
    expect(failure(() => quantize(x as unknown as Tensor<'f32'>, int8()))).toBe(
      'QUTLASS_E_DTYPE x: expected f32, bf16 or f16, got i8',
    );
  });

  it('refuses options that the format does not have', () => {
    using x = matrix(2, 32);
    expect(failure(() => quantize(x, int8(), { globalScale: 2 }))).toBe(
      'QUTLASS_E_FORMAT globalScale: expected none for int8-row, got one',
    );
    expect(failure(() => quantize(x, nvfp4(), { globalScale: -1 }))).toBe(
      'QUTLASS_E_ARGUMENT globalScale: expected a positive number, got -1',
    );
    expect(failure(() => quantize(x, mxfp4(), { clipMask: true }))).toBe(
      'QUTLASS_E_FORMAT clipMask: expected mxfp4 with the scale rule quest, got mxfp4',
    );
    expect(failure(() => quantize(x, int8(), { scaleLayout: 'blocked128x4' }))).toMatch(/^QUTLASS_E_FORMAT /);
    expect(failure(() => globalScale(x, int8()))).toBe(
      'QUTLASS_E_FORMAT format: expected one with a global scale, got int8-row',
    );
  });

  it('refuses a global scale of another device', () => {
    using x = matrix(2, 32);
    using scale = Tensor.from([1], { shape: [1], device: other });
    expect(failure(() => quantize(x, nvfp4(), { globalScale: scale }))).toBe(
      `QUTLASS_E_ARGUMENT device: expected all operands on ${device}, got one on ${other}`,
    );
  });

  it('uses a given global scale, as a number or on the device', async () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => i / 4);
    using x = Tensor.from(values, { shape: [1, 32] });
    using scale = Tensor.from([2], { shape: [1] });
    using a = quantize(x, nvfp4(), { globalScale: 2 });
    using b = quantize(x, nvfp4(), { globalScale: scale });
    expect(await a.codes.toBytes()).toEqual(await b.codes.toBytes());
    expect([...(await a.globalScale!.toFloat32Array())]).toEqual([2]);
    using found = globalScale(x, nvfp4());
    expect([...(await found.toFloat32Array())]).toEqual([Math.fround(2688 / 7.75)]);
  });

  it('refuses disposed tensors', () => {
    const x = matrix(2, 32);
    const q = quantize(x, mxfp4());
    x.dispose();
    expect(failure(() => quantize(x, mxfp4()))).toBe('QUTLASS_E_DISPOSED tensor: used after dispose()');
    q.dispose();
    expect(failure(() => dequantize(q))).toBe('QUTLASS_E_DISPOSED quantized tensor: used after dispose()');
    expect(failure(() => q.codes)).toBe('QUTLASS_E_DISPOSED quantized tensor: used after dispose()');
  });

  it('lets a part outlive the matrix, with the memory', async () => {
    using x = matrix(2, 32);
    const q = quantize(x, int8({ zeroPoint: true }));
    using codes = q.codes.share();
    const expected = await q.codes.toBytes();
    const own = q.codes;
    q.dispose();
    expect(own.disposed).toBe(true);
    expect(await codes.toBytes()).toEqual(expected);
  });

  it('notices a part that was disposed on its own', () => {
    using x = matrix(2, 32);
    using q = quantize(x, mxfp4());
    q.scales.dispose();
    expect(failure(() => dequantize(q))).toBe('QUTLASS_E_DISPOSED tensor: used after dispose()');
  });

  it('frees everything', () => {
    const before = allocations();
    for (const format of [mxfp4({ scale: 'quest' }), nvfp4(), int4({ zeroPoint: true }), fp8()]) {
      using x = matrix(4, 128);
      using q = quantize(x, format, { rotation: hadamard(32), clipMask: format.rule === 'quest' });
      using _values = dequantize(q);
      using _same = q.share();
    }
    // The signs of a randomized rotation are kept; these rotations have none.
    expect(allocations()).toBe(before);
  });
});

describe('QuantizedTensor', () => {
  const parts = (rows = 4, cols = 64) => ({
    rows,
    cols,
    codes: Tensor.zeros([rows, cols / 2], 'u8'),
    scales: rowScales(Tensor.zeros([rows, cols / 32], 'f8e8m0')),
    scaleLayout: 'row' as const,
  });

  /** What the constructor says of parts, which stay the caller's. */
  function refusal(format: Parameters<typeof quantize>[1], change: object): string {
    const given = { ...parts(), ...change };
    const text = failure(() => new QuantizedTensor(format, given));
    for (const part of Object.values(given)) if (part instanceof Tensor) part.dispose();
    return text;
  }

  it('takes its parts over', () => {
    const given = parts();
    const q = new QuantizedTensor(mxfp4(), given);
    expect(q.byteLength).toBe(4 * 32 + 8);
    expect(q.bitsPerElement).toBe(4.25);
    q.dispose();
    expect(given.codes.disposed && given.scales.disposed).toBe(true);
  });

  it('refuses parts that do not fit', () => {
    expect(refusal(mxfp4(), { codes: Tensor.zeros([4, 64], 'u8') })).toBe(
      'QUTLASS_E_SHAPE codes: expected shape [4, 32], got [4, 64]',
    );
    expect(refusal(mxfp4(), { codes: Tensor.zeros([4, 32], 'i8') })).toBe(
      'QUTLASS_E_DTYPE codes: expected u8, got i8',
    );
    expect(refusal(mxfp4(), { scales: Tensor.zeros([4, 1], 'f8e8m0') })).toBe(
      'QUTLASS_E_SHAPE scales: expected shape [4, 2], got [4, 1]',
    );
    expect(refusal(mxfp4(), { scales: Tensor.zeros([4, 2], 'f8e4m3') })).toBe(
      'QUTLASS_E_DTYPE scales: expected f8e8m0, got f8e4m3',
    );
    expect(refusal(mxfp4(), { globalScale: Tensor.zeros([1], 'f32') })).toBe(
      'QUTLASS_E_FORMAT globalScale: expected none for mxfp4, got a tensor',
    );
    expect(refusal(mxfp4({ scale: 'abs_max' }), {})).toBe(
      'QUTLASS_E_FORMAT globalScale: expected a tensor for mxfp4-abs_max, got none',
    );
    expect(refusal(mxfp4(), { codes: Tensor.zeros([4, 32], 'u8', other) })).toBe(
      `QUTLASS_E_ARGUMENT device: expected all operands on ${other}, got one on ${device}`,
    );
  });
});
