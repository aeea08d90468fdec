import { describe, expect, it } from 'vitest';
import {
  Device,
  fusedQuantizeMx,
  fusedQuantizeNv,
  hadamard,
  identity,
  nvfp4,
  packInt4,
  quantize,
  quantizeInt8,
  scope,
  Tensor,
  unpack4,
} from './index.js';

const hex = async (tensor: Tensor | undefined) =>
  Buffer.from((await tensor?.toBytes()) ?? []).toString('hex');

describe('fusedQuantizeMx', () => {
  const counting = Float32Array.from({ length: 32 }, (_, i) => i);

  // Worked out by hand from QuTLASS's formulas.
  it('gives the codes of abs_max', async () => {
    using x = Tensor.from(counting, { shape: [1, 32], dtype: 'bf16' });
    const { codes, scales, mask } = fusedQuantizeMx(x, identity(), { method: 'abs_max' });
    expect(await hex(codes)).toBe('00112232334444555565666666767777');
    expect([...(await scales.toBytes())]).toEqual([131]);
    expect(mask).toBeUndefined();
  });

  it('gives the codes and the mask of quest', async () => {
    using x = Tensor.from(counting, { shape: [1, 32], dtype: 'bf16' });
    const { codes, scales, mask } = fusedQuantizeMx(x, identity(), { returnMask: true });
    expect(await hex(codes)).toBe('00212243445455666666767777777777');
    expect([...(await scales.toBytes())]).toEqual([129]);
    expect(await hex(mask)).toBe('ffffff00');
  });

  it('gives a scale byte to a group of zeros', async () => {
    for (const method of ['abs_max', 'quest'] as const) {
      using x = Tensor.zeros([1, 32], 'bf16');
      const { codes, scales } = fusedQuantizeMx(x, identity(), { method });
      expect([...(await scales.toBytes())]).toEqual([100]);
      expect(await hex(codes)).toBe('0'.repeat(32));
    }
  });

  it('keeps its results in a scope and frees the rest', () => {
    const allocations = () => {
      Device.default.defaultStream.synchronizeSync();
      return Device.default.memoryStats().allocations;
    };
    const before = allocations();
    using x = Tensor.zeros([1, 32], 'bf16');
    const kept = scope(() => fusedQuantizeMx(x, hadamard(32), { returnMask: true }));
    // x, and one block for codes, scales and mask.
    expect(allocations()).toBe(before + 2);
    for (const tensor of Object.values(kept)) tensor.dispose();
  });
});

it('fusedQuantizeNv is quantize with a given global scale', async () => {
  using x = Tensor.from(
    Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)),
    { shape: [2, 32], dtype: 'bf16' },
  );
  const { codes, scales } = fusedQuantizeNv(x, hadamard(16), 6);
  using q = quantize(x, nvfp4(), { rotation: hadamard(16), globalScale: 6 });
  expect(await codes.toBytes()).toEqual(await q.codes.toBytes());
  expect(await scales.toBytes()).toEqual(await q.scales.toBytes());
});

describe('packInt4', () => {
  it.each([
    [[-8, -1, 0, 7], 'f870'],
    [[7, 0, -1, -8], '078f'],
  ])('packs %j low nibble first', async (values, expected) => {
    using codes = Tensor.from(Int8Array.from(values), { shape: [1, 4], dtype: 'i8' });
    using packed = packInt4(codes);
    expect(await hex(packed)).toBe(expected);
    using back = unpack4(packed, 'i8');
    expect([...(await back.toArray())]).toEqual(values);
    using unsigned = unpack4(packed, 'u8');
    expect([...(await unsigned.toArray())]).toEqual(values.map((v) => v & 15));
  });

  it('refuses an odd number of codes', () => {
    using codes = Tensor.zeros([2, 3], 'i8');
    expect(() => packInt4(codes)).toThrow('codes: expected an even last dimension, got 3');
  });
});

describe('quantizeInt8', () => {
  it('rounds to even, saturates, and turns NaN into 0', async () => {
    using x = Tensor.from([0.5, 1.5, 2.5, -0.5, -1.5, 200, -200, Number.NaN], { shape: [1, 8] });
    using one = Tensor.from([1], { shape: [1] });
    using q = quantizeInt8(x, one);
    expect([...(await q.toArray())]).toEqual([0, 2, 2, 0, -2, 127, -128, 0]);
  });

  it('takes a scale per row', async () => {
    using x = Tensor.from([1, 2, 1, 2], { shape: [2, 2] });
    using scale = Tensor.from([1, 0.5], { shape: [2], dtype: 'bf16' });
    using q = quantizeInt8(x, scale);
    expect([...(await q.toArray())]).toEqual([1, 2, 2, 4]);
    using three = Tensor.zeros([3], 'f32');
    expect(() => quantizeInt8(x, three)).toThrow('scale: expected 1 or 2 elements, got 3');
  });
});
