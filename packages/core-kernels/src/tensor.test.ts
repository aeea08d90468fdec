import { Random } from '@qutlass/test-support';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { Device } from './device.js';
import { DTYPES, type DType } from './dtype.js';
import { Tensor } from './tensor.js';
import { failure, rejection, roundTo, valueOfBits } from './test-support.js';

const dtypes = Object.keys(DTYPES) as DType[];
const device = Device.default;

describe('memory in and out', () => {
  it.each(dtypes)('%s: bytes come back as they went in', async (dtype) => {
    const bytes = Uint8Array.from({ length: 6 * DTYPES[dtype].bytes }, (_, i) => (37 * i + 5) & 255);
    using t = Tensor.fromBytes(bytes, { shape: [2, 3], dtype });
    expect(await t.toBytes()).toEqual(bytes);
    const array = await t.toArray();
    expect(array).toBeInstanceOf(DTYPES[dtype].array);
    expect(new Uint8Array(array.buffer)).toEqual(bytes);
    expect([t.rank, t.size, t.byteLength]).toEqual([2, 6, bytes.length]);
  });

  it.each(dtypes)('%s: from takes the host array of the dtype', async (dtype) => {
    const data = DTYPES[dtype].array.from([1, 2, 3, 4]);
    using t = Tensor.from(data, { shape: [4], dtype });
    expect(await t.toArray()).toEqual(data);
  });

  it.each(dtypes)('%s: zeros', async (dtype) => {
    using t = Tensor.zeros([3, 5], dtype);
    expect(await t.toBytes()).toEqual(new Uint8Array(15 * DTYPES[dtype].bytes));
  });

  it.each(dtypes)('%s: empty, then write', async (dtype) => {
    using t = Tensor.empty([2, 2], dtype);
    const data = DTYPES[dtype].array.from([9, 8, 7, 6]);
    t.write(data as never);
    data.fill(0);
    expect(Array.from(await t.toArray())).toEqual([9, 8, 7, 6]);
  });

  it('has a default dtype per source', () => {
    const sources = [
      [[1], 'f32'],
      [Float32Array.of(1), 'f32'],
      [Uint16Array.of(1), 'bf16'],
      [Int32Array.of(1), 'i32'],
      [Int8Array.of(1), 'i8'],
      [Uint8Array.of(1), 'u8'],
    ] as const;
    for (const [data, dtype] of sources) {
      using t = Tensor.from(data, { shape: [1] });
      expect(t.dtype).toBe(dtype);
    }
  });

  it('has the type of that dtype', () => {
    const shape = [1];
    expectTypeOf(Tensor.from([1], { shape })).toEqualTypeOf<Tensor<'f32'>>();
    expectTypeOf(Tensor.from(Float32Array.of(1), { shape })).toEqualTypeOf<Tensor<'f32'>>();
    expectTypeOf(Tensor.from(Uint16Array.of(1), { shape })).toEqualTypeOf<Tensor<'bf16'>>();
    expectTypeOf(Tensor.from(Int32Array.of(1), { shape })).toEqualTypeOf<Tensor<'i32'>>();
    expectTypeOf(Tensor.from(Int8Array.of(1), { shape })).toEqualTypeOf<Tensor<'i8'>>();
    expectTypeOf(Tensor.from(Uint8Array.of(1), { shape })).toEqualTypeOf<Tensor<'u8'>>();
    expectTypeOf(Tensor.from([1], { shape, dtype: 'f16' })).toEqualTypeOf<Tensor<'f16'>>();
  });

  it('takes a part of a larger buffer', async () => {
    const buffer = Float32Array.of(0, 1, 2, 3);
    using t = Tensor.from(buffer.subarray(1, 3), { shape: [2] });
    expect(await t.toArray()).toEqual(Float32Array.of(1, 2));
  });

  it('writes in the order of the stream', async () => {
    using t = Tensor.from([1, 2], { shape: [2] });
    const first = t.toArray();
    t.write(Float32Array.of(3, 4));
    const second = t.toArray();
    expect([await first, await second]).toEqual([Float32Array.of(1, 2), Float32Array.of(3, 4)]);
  });

  it('freezes a copy of the shape', () => {
    const shape = [2, 1];
    using t = Tensor.zeros(shape, 'u8');
    shape[0] = 7;
    expect(t.shape).toEqual([2, 1]);
    expect(Object.isFrozen(t.shape)).toBe(true);
  });
});

describe('rounding', () => {
  const random = new Random(1);
  const inputs = Float32Array.of(
    ...[0, -0, 1, -1, 65504, 65519, 65520, -65520, 3.3895e38, 3.4e38, Infinity, -Infinity],
    // Ties in both widths, to an even and to an odd significand.
    ...[1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -11, 1 + 3 * 2 ** -11, -(1 + 2 ** -8), -(1 + 3 * 2 ** -11)],
    // Around the subnormal numbers of half precision and of bfloat16.
    ...[2 ** -14, 2 ** -14 - 2 ** -25, 2 ** -24, 2 ** -25, 1.5 * 2 ** -25, -(2 ** -25), 2 ** -133, 2 ** -134],
    ...Array.from({ length: 2000 }, () => random.normal() * 2 ** random.integer(-140, 127)),
    ...Array.from({ length: 2000 }, () => random.normal() * 2 ** random.integer(-26, 16)),
  );

  it.each(['bf16', 'f16'] as const)('%s is the nearest value, ties to even', async (dtype) => {
    using t = Tensor.from(inputs, { shape: [inputs.length], dtype });
    const bits = await t.toArray();
    const expected = Array.from(inputs, (x) => roundTo(dtype, x));
    expect(Array.from(bits, (b) => valueOfBits(dtype, b))).toEqual(expected);
    expect(Array.from(await t.toFloat32Array())).toEqual(expected);
  });

  it.each(['bf16', 'f16'] as const)(
    '%s: every bit pattern survives the way to f32 and back',
    async (dtype) => {
      const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
      using t = Tensor.from(bits, { shape: [256, 256], dtype });
      using wide = t.to('f32');
      expect(Array.from(await wide.toArray())).toEqual(Array.from(bits, (b) => valueOfBits(dtype, b)));
      using narrow = wide.to(dtype);
      const isNumber = (b: number) => !Number.isNaN(valueOfBits(dtype, b));
      const back = await narrow.toArray();
      expect(back.filter((_, i) => isNumber(i))).toEqual(bits.filter(isNumber));
      expect(back.every((b, i) => isNumber(b) === isNumber(i))).toBe(true);
    },
  );

  it('between bf16 and f16 directly', async () => {
    using t = Tensor.from(inputs, { shape: [inputs.length], dtype: 'bf16' });
    using half = t.to('f16');
    const expected = Array.from(inputs, (x) => roundTo('f16', roundTo('bf16', x)));
    expect(Array.from(await half.toFloat32Array())).toEqual(expected);
  });

  it('keeps NaN', async () => {
    for (const dtype of ['bf16', 'f16'] as const) {
      using t = Tensor.from([Number.NaN], { shape: [1], dtype });
      expect(await t.toFloat32Array()).toEqual(Float32Array.of(Number.NaN));
    }
  });

  it('integers become the nearest float', async () => {
    const values = Int32Array.of(0, -1, 2 ** 24 + 1, 2 ** 31 - 1, -(2 ** 31), 257, 259);
    using t = Tensor.from(values, { shape: [7], dtype: 'i32' });
    for (const dtype of ['f32', 'bf16', 'f16'] as const) {
      using y = t.to(dtype);
      expect(Array.from(await y.toFloat32Array())).toEqual(Array.from(values, (v) => roundTo(dtype, v)));
    }
    using i8 = Tensor.from(Int8Array.of(-128, -1, 127), { shape: [3], dtype: 'i8' });
    expect(await i8.toFloat32Array()).toEqual(Float32Array.of(-128, -1, 127));
    using u8 = Tensor.from(Uint8Array.of(0, 128, 255), { shape: [3], dtype: 'u8' });
    expect(await u8.toFloat32Array()).toEqual(Float32Array.of(0, 128, 255));
  });

  it('8-bit floats decode by their formulas', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const values = async (dtype: DType) => {
      using t = Tensor.fromBytes(bytes, { shape: [256], dtype });
      return Array.from(await t.toFloat32Array());
    };
    const small = (mantissa: number, bias: number) => (b: number) => {
      const [e, f] = [(b & 127) >> mantissa, (b & (2 ** mantissa - 1)) / 2 ** mantissa];
      return (b > 127 ? -1 : 1) * (e ? (1 + f) * 2 ** (e - bias) : f * 2 ** (1 - bias));
    };
    const e4m3 = (b: number) => ((b & 127) === 127 ? Number.NaN : small(3, 7)(b));
    const e5m2 = (b: number) =>
      (b & 124) !== 124 ? small(2, 15)(b) : b & 3 ? Number.NaN : b > 127 ? -Infinity : Infinity;
    const e8m0 = (b: number) => (b === 255 ? Number.NaN : 2 ** (b - 127));
    expect(await values('f8e4m3')).toEqual(Array.from(bytes, e4m3));
    expect(await values('f8e5m2')).toEqual(Array.from(bytes, e5m2));
    expect(await values('f8e8m0')).toEqual(Array.from(bytes, e8m0));
  });

  it('clone copies bit for bit', async () => {
    for (const dtype of dtypes) {
      const bytes = Uint8Array.from({ length: 8 * DTYPES[dtype].bytes }, (_, i) => 255 - i);
      using t = Tensor.fromBytes(bytes, { shape: [8], dtype });
      using copy = t.clone();
      t.write(new DTYPES[dtype].array(8) as never);
      expect(await copy.toBytes()).toEqual(bytes);
    }
  });
});

describe('views', () => {
  const sequence = () => Tensor.from([0, 1, 2, 3, 4, 5], { shape: [3, 2] });

  it('reshape, rows and bitcast see the same memory', async () => {
    using t = sequence();
    using flat = t.reshape([6]);
    using last = t.rows(1, 3);
    using bits = t.bitcast('i32');
    t.write(Float32Array.of(6, 7, 8, 9, 10, 1));
    expect(flat.shape).toEqual([6]);
    expect(await flat.toArray()).toEqual(Float32Array.of(6, 7, 8, 9, 10, 1));
    expect(last.shape).toEqual([2, 2]);
    expect(await last.toArray()).toEqual(Float32Array.of(8, 9, 10, 1));
    expect((await bits.toArray())[5]).toBe(0x3f800000);
  });

  it('a view of a view counts from its own first row', async () => {
    using t = sequence();
    using tail = t.rows(1, 3);
    using end = tail.rows(1, 2);
    using flat = end.reshape([2]);
    expect(await flat.toArray()).toEqual(Float32Array.of(4, 5));
  });

  it('the memory lives until both owners are disposed', async () => {
    await device.synchronize();
    const before = device.memoryStats().allocations;
    const t = sequence();
    const shared = t.share();
    await device.synchronize();
    expect(device.memoryStats().allocations).toBe(before + 1);
    t.dispose();
    expect(device.memoryStats().allocations).toBe(before + 1);
    expect(await shared.toArray()).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5));
    const row = shared.rows(2, 3);
    shared.dispose();
    expect(await row.toArray()).toEqual(Float32Array.of(4, 5));
    row.dispose();
    await device.synchronize();
    expect(device.memoryStats().allocations).toBe(before);
  });
});

describe('after dispose', () => {
  const disposed = 'QUTLASS_E_DISPOSED tensor: used after dispose()';

  it.each(['base', 'view'])('%s: every use is refused', async (which) => {
    using base = Tensor.zeros([2, 2], 'f32');
    const t = which === 'base' ? base : base.reshape([4]).reshape([2, 2]);
    t.dispose();
    t.dispose();
    expect(t.disposed).toBe(true);
    expect(failure(() => t.handle)).toBe(disposed);
    expect(failure(() => t.reshape([4]))).toBe(disposed);
    expect(failure(() => t.rows(0, 1))).toBe(disposed);
    expect(failure(() => t.share())).toBe(disposed);
    expect(failure(() => t.bitcast('i32'))).toBe(disposed);
    expect(failure(() => t.to('bf16'))).toBe(disposed);
    expect(failure(() => t.clone())).toBe(disposed);
    expect(failure(() => t.write(new Float32Array(4)))).toBe(disposed);
    expect(await rejection(t.toArray())).toBe(disposed);
    expect(await rejection(t.toBytes())).toBe(disposed);
    expect(await rejection(t.toFloat32Array())).toBe(disposed);
  });

  it('a disposed view leaves its base alone, and the other way round', async () => {
    using base = Tensor.from([1, 2], { shape: [2] });
    base.rows(0, 1).dispose();
    expect(await base.toArray()).toEqual(Float32Array.of(1, 2));
    using view = base.rows(1, 2);
    base.dispose();
    expect(await view.toArray()).toEqual(Float32Array.of(2));
  });

  it('a tensor made after it is not touched by it', async () => {
    const gone = Tensor.from([1, 2], { shape: [2] });
    gone.dispose();
    using next = Tensor.from([3], { shape: [1] });
    gone.dispose();
    expect(failure(() => gone.handle)).toBe(disposed);
    expect(await next.toArray()).toEqual(Float32Array.of(3));
  });

  it('work that is already enqueued still runs', async () => {
    const t = Tensor.from([1.5], { shape: [1] });
    using y = t.to('bf16');
    const values = t.toArray();
    t.dispose();
    expect([await values, await y.toFloat32Array()]).toEqual([Float32Array.of(1.5), Float32Array.of(1.5)]);
  });
});

describe('errors', () => {
  const f32 = () => Tensor.zeros([2, 3], 'f32');
  const cases: Record<string, [string, () => unknown]> = {
    'an empty shape': [
      'QUTLASS_E_SHAPE shape: expected 1 to 4 positive integers, got []',
      () => Tensor.zeros([], 'f32'),
    ],
    'five extents': [
      'QUTLASS_E_SHAPE shape: expected 1 to 4 positive integers, got [1, 1, 1, 1, 1]',
      () => Tensor.empty([1, 1, 1, 1, 1], 'f32'),
    ],
    'an extent of 0': [
      'QUTLASS_E_SHAPE shape: expected 1 to 4 positive integers, got [2, 0]',
      () => Tensor.from([], { shape: [2, 0] }),
    ],
    'a negative extent': [
      'QUTLASS_E_SHAPE shape: expected 1 to 4 positive integers, got [-1]',
      () => Tensor.fromBytes(new Uint8Array(1), { shape: [-1], dtype: 'u8' }),
    ],
    'a fraction': [
      'QUTLASS_E_SHAPE shape: expected 1 to 4 positive integers, got [1.5]',
      () => Tensor.zeros([1.5], 'u8'),
    ],
    'more elements than a number counts': [
      'QUTLASS_E_SHAPE shape: expected 1 to 4 positive integers, got [1073741824, 1073741824]',
      () => Tensor.empty([2 ** 30, 2 ** 30], 'f32'),
    ],
    'too few elements': [
      'QUTLASS_E_SHAPE data: expected 6 elements for shape [2, 3], got 5',
      () => Tensor.from([1, 2, 3, 4, 5], { shape: [2, 3] }),
    ],
    'too many bytes': [
      'QUTLASS_E_SHAPE bytes: expected 12 for bf16[2, 3], got 13',
      () => Tensor.fromBytes(new Uint8Array(13), { shape: [2, 3], dtype: 'bf16' }),
    ],
    'numbers for an integer dtype': [
      'QUTLASS_E_DTYPE data: expected Int32Array for i32, got Float32Array',
      () => Tensor.from(new Float32Array(1), { shape: [1], dtype: 'i32' }),
    ],
    'integers for f32': [
      'QUTLASS_E_DTYPE data: expected Float32Array for f32, got Int32Array',
      () => Tensor.from(new Int32Array(1), { shape: [1], dtype: 'f32' }),
    ],
    'bytes for bf16': [
      'QUTLASS_E_DTYPE data: expected Uint16Array for bf16, got Uint8Array',
      () => Tensor.from(new Uint8Array(1), { shape: [1], dtype: 'bf16' }),
    ],
    'an array of doubles': [
      'QUTLASS_E_DTYPE data: expected Float32Array, Uint16Array, Int32Array, Int8Array or Uint8Array, got Float64Array',
      () => Tensor.from(new Float64Array(1) as never, { shape: [1] }),
    ],
    'no array': [
      'QUTLASS_E_ARGUMENT data: expected an array of numbers or a typed array, got string',
      () => Tensor.from('1' as never, { shape: [1] }),
    ],
    'reshape to another size': [
      'QUTLASS_E_SHAPE shape: expected 6 elements as in [2, 3], got [4]',
      () => f32().reshape([4]),
    ],
    'rows past the end': [
      'QUTLASS_E_SHAPE rows: expected 0 <= begin < end <= 2, got [1, 3)',
      () => f32().rows(1, 3),
    ],
    'no rows': ['QUTLASS_E_SHAPE rows: expected 0 <= begin < end <= 2, got [1, 1)', () => f32().rows(1, 1)],
    'half a row': [
      'QUTLASS_E_SHAPE rows: expected 0 <= begin < end <= 2, got [0.5, 1)',
      () => f32().rows(0.5, 1),
    ],
    'bitcast to another width': [
      'QUTLASS_E_DTYPE dtype: expected one of 4 bytes, got bf16',
      () => f32().bitcast('bf16'),
    ],
    'conversion to an 8-bit float': [
      'QUTLASS_E_DTYPE out: expected f32, bf16, f16 or the dtype of x (f32), got f8e4m3',
      () => f32().to('f8e4m3' as never),
    ],
    'write of another type': [
      'QUTLASS_E_SHAPE data: expected a Float32Array of 6 elements (4 bytes each), got a Uint8Array of 6',
      () => f32().write(new Uint8Array(6) as never),
    ],
    'write of another size': [
      'QUTLASS_E_SHAPE data: expected a Float32Array of 6 elements (4 bytes each), got a Float32Array of 5',
      () => f32().write(new Float32Array(5)),
    ],
  };

  it.each(Object.entries(cases))('%s', (_, [expected, action]) => {
    expect(failure(action)).toBe(expected);
  });

  it('an unknown dtype, wherever one is given', () => {
    const names = 'f32, bf16, f16, i32, i8, u8, f8e4m3, f8e5m2, f8e8m0';
    const dtype = 'f64' as 'f32';
    const actions = [
      () => Tensor.empty([1], dtype),
      () => Tensor.zeros([1], dtype),
      () => Tensor.from([1], { shape: [1], dtype }),
      () => Tensor.fromBytes(new Uint8Array(8), { shape: [1], dtype }),
      () => f32().bitcast(dtype),
      () => f32().to(dtype),
    ];
    for (const action of actions) {
      expect(failure(action)).toBe(`QUTLASS_E_DTYPE dtype: expected ${names}, got "f64"`);
    }
  });

  it('a refused operation frees what it took', async () => {
    await device.synchronize();
    using t = f32();
    const before = device.memoryStats().allocations;
    expect(failure(() => t.to('u8' as never))).toMatch(/^QUTLASS_E_DTYPE/);
    expect(device.memoryStats().allocations).toBe(before);
  });
});

it('prints dtype, shape, device and state', () => {
  const t = Tensor.zeros([2, 3], 'bf16');
  expect(`${t}`).toBe(`Tensor(bf16[2, 3], ${device.name})`);
  t.dispose();
  expect(`${t}`).toBe(`Tensor(bf16[2, 3], ${device.name}, disposed)`);
});
