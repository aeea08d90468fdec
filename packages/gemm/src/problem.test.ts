import { otherDevice } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { failure, memoryInUse } from '../test/failure.js';
import {
  Device,
  type DType,
  type Format,
  formatByName,
  hadamard,
  matmul,
  type OperandA,
  type OperandB,
  prepare,
  type QuantizedTensor,
  quantize,
  type Rotation,
  rotation,
  scope,
  Tensor,
} from './index.js';

/** As JavaScript calls it, without the compiler. */
const untyped = matmul as (a: OperandA | Tensor, b: OperandB | Tensor, options?: object) => Tensor;

const zeros = <D extends DType = 'f32'>(shape: readonly number[], dtype = 'f32' as D) =>
  Tensor.zeros(shape, dtype);

function quantized(name: string, shape: readonly number[] = [4, 128], by?: Rotation): QuantizedTensor {
  using x = zeros(shape);
  return quantize(x, formatByName(name) as Format, by ? { rotation: by } : {});
}

describe('operands that do not fit', () => {
  it('in their shapes', () => {
    using b = zeros([4, 128]);
    using a = zeros([3, 64]);
    expect(failure(() => matmul(a, b))).toBe(
      'QUTLASS_E_SHAPE a: expected shape [.., 128] as b [N, K] = [4, 128], got [3, 64]',
    );
    using vector = zeros([128]);
    expect(failure(() => matmul(vector, b))).toBe(
      'QUTLASS_E_SHAPE a: expected shape [.., 128] as b [N, K] = [4, 128], got [128]',
    );
    expect(failure(() => matmul(b, vector))).toBe('QUTLASS_E_SHAPE b: expected a matrix [N, K], got [128]');
    using deep = zeros([2, 2, 128]);
    expect(failure(() => matmul(b, deep))).toBe(
      'QUTLASS_E_SHAPE b: expected a matrix [N, K], got [2, 2, 128]',
    );
    using deepA = zeros([2, 3, 64]);
    expect(failure(() => matmul(deepA, b))).toBe(
      'QUTLASS_E_SHAPE a: expected shape [.., 128] as b [N, K] = [4, 128], got [2, 3, 64]',
    );
    using q = quantized('int8', [4, 96]);
    expect(failure(() => matmul(b, q))).toBe(
      'QUTLASS_E_SHAPE a: expected shape [.., 96] as b [N, K] = [4, 96], got [4, 128]',
    );
    using p = prepare(q);
    expect(failure(() => matmul(b, p))).toBe(
      'QUTLASS_E_SHAPE a: expected shape [.., 96] as b [N, K] = [4, 96], got [4, 128]',
    );
    using wide = quantized('int8');
    expect(failure(() => matmul(wide, q as QuantizedTensor))).toBe(
      'QUTLASS_E_SHAPE a: expected shape [.., 96] as b [N, K] = [4, 96], got [4, 128]',
    );
  });

  it('in their dtypes', () => {
    using x = zeros([4, 128]);
    using codes = zeros([4, 128], 'i32');
    expect(failure(() => untyped(codes, x))).toBe(
      'QUTLASS_E_DTYPE a: expected f32, bf16 or f16, or a quantized tensor, got i32',
    );
    expect(failure(() => untyped(x, codes))).toBe(
      'QUTLASS_E_DTYPE b: expected f32, bf16 or f16, or a quantized tensor, got i32',
    );
    using bytes = zeros([4, 128], 'f8e4m3');
    expect(failure(() => untyped(x, bytes))).toBe(
      'QUTLASS_E_DTYPE b: expected f32, bf16 or f16, or a quantized tensor, got f8e4m3',
    );
    using q = quantized('int8');
    expect(failure(() => untyped(codes, q))).toBe(
      'QUTLASS_E_DTYPE a: expected f32, bf16 or f16, or a quantized tensor, got i32',
    );
  });

  it('in their formats', () => {
    const pair = (a: string, b: string) =>
      failure(() =>
        scope(() => {
          untyped(quantized(a), quantized(b));
        }),
      );
    expect(pair('nvfp4', 'mxfp4')).toBe(
      'QUTLASS_E_FORMAT b of a product with nvfp4: expected nvfp4, got mxfp4',
    );
    expect(pair('mxfp4', 'nvfp4')).toBe(
      'QUTLASS_E_FORMAT b of a product with mxfp4: expected mxfp4 or mxfp8, got nvfp4',
    );
    expect(pair('int8', 'fp8')).toBe(
      'QUTLASS_E_FORMAT b of a product with int8: expected int8 or int4, got fp8',
    );
    expect(pair('fp8', 'mxfp8')).toBe('QUTLASS_E_FORMAT b of a product with fp8: expected fp8, got mxfp8');
    expect(pair('int4', 'nf4')).toBe(
      'QUTLASS_E_FORMAT b of a product with int4: expected int4 or int8, got nf4',
    );
    expect(pair('nf4', 'nf4')).toBe(
      'QUTLASS_E_FORMAT b of a product with nf4: expected a dense a: this format is for weights only, got nf4',
    );
    using q = quantized('nvfp4');
    using x = zeros([4, 128]);
    expect(failure(() => untyped(q, x))).toBe(
      'QUTLASS_E_FORMAT b of a product with nvfp4: expected nvfp4, got f32',
    );
    using p = prepare(q);
    using m = quantized('mxfp4');
    expect(failure(() => untyped(m, p))).toBe(
      'QUTLASS_E_FORMAT b of a product with mxfp4: expected mxfp4 or mxfp8, got nvfp4',
    );
  });

  it('in their rotations', () => {
    const pair = (left: Rotation | undefined, right: Rotation | undefined) => {
      using a = quantized('nvfp4', [4, 128], left);
      using b = quantized('nvfp4', [4, 128], right);
      return failure(() => matmul(a, b));
    };
    expect(pair(undefined, hadamard(16))).toBe(
      'QUTLASS_E_FORMAT rotation: expected hadamard(16) on a, as on b, got none',
    );
    expect(pair(hadamard(16), undefined)).toBe(
      'QUTLASS_E_FORMAT rotation: expected none on a, as on b, got hadamard(16)',
    );
    expect(pair(hadamard(16), hadamard(32))).toBe(
      'QUTLASS_E_FORMAT rotation: expected hadamard(32) on a, as on b, got hadamard(16)',
    );
    expect(pair(hadamard(16), hadamard(16, { seed: 1 }))).toBe(
      'QUTLASS_E_FORMAT rotation: expected hadamard(16, seed 1) on a, as on b, got hadamard(16)',
    );
    expect(pair(hadamard(16, { seed: 2 }), hadamard(16, { seed: 1 }))).toBe(
      'QUTLASS_E_FORMAT rotation: expected hadamard(16, seed 1) on a, as on b, got hadamard(16, seed 2)',
    );
    expect(pair(rotation([1], 1), hadamard(16))).toBe(
      'QUTLASS_E_FORMAT rotation: expected hadamard(16) on a, as on b, got matrix(1)',
    );
  });

  it('in their devices', () => {
    const device = Device.default;
    const other = otherDevice(Device);
    using here = zeros([4, 128]);
    using there = Tensor.zeros([4, 128], 'f32', other);
    expect(failure(() => matmul(here, there))).toBe(
      `QUTLASS_E_ARGUMENT device: expected all operands on ${device}, got one on ${other}`,
    );
    using bias = Tensor.zeros([4], 'f32', other);
    expect(failure(() => matmul(here, here, { bias }))).toBe(
      `QUTLASS_E_ARGUMENT device: expected all operands on ${device}, got one on ${other}`,
    );
    using alpha = Tensor.zeros([1], 'f32', other);
    expect(failure(() => matmul(here, here, { alpha }))).toBe(
      `QUTLASS_E_ARGUMENT device: expected all operands on ${device}, got one on ${other}`,
    );
    const before = other.memoryStats().allocations;
    using q = quantized('int8');
    expect(failure(() => matmul(there, q))).toBe(
      `QUTLASS_E_ARGUMENT device: expected all operands on ${other}, got one on ${device}`,
    );
    expect(other.memoryStats().allocations).toBe(before);
  });
});

describe('options that do not fit', () => {
  const refused = (options: object) =>
    failure(() =>
      scope(() => {
        untyped(zeros([3, 64]), zeros([4, 64]), options);
      }),
    );

  it('bias', () => {
    const biased = (shape: readonly number[], dtype: DType = 'f32') =>
      failure(() =>
        scope(() => {
          untyped(zeros([3, 64]), zeros([4, 64]), { bias: zeros(shape, dtype) });
        }),
      );
    expect(biased([3])).toBe('QUTLASS_E_SHAPE bias: expected shape [4], got [3]');
    expect(biased([1, 4])).toBe('QUTLASS_E_SHAPE bias: expected shape [4], got [1, 4]');
    expect(biased([4], 'i32')).toBe('QUTLASS_E_DTYPE bias: expected f32 or bf16 or f16, got i32');
  });

  it('alpha', () => {
    expect(refused({ alpha: Number.NaN })).toBe(
      'QUTLASS_E_ARGUMENT alpha: expected a finite number, got nan',
    );
    expect(refused({ alpha: Infinity })).toBe('QUTLASS_E_ARGUMENT alpha: expected a finite number, got inf');
    const scaled = (shape: readonly number[], dtype: DType = 'f32') =>
      failure(() =>
        scope(() => {
          untyped(zeros([3, 64]), zeros([4, 64]), { alpha: zeros(shape, dtype) });
        }),
      );
    expect(scaled([2])).toBe('QUTLASS_E_SHAPE alpha: expected one value, got [2]');
    expect(scaled([1], 'bf16')).toBe('QUTLASS_E_DTYPE alpha: expected f32, got bf16');
    expect(scaled([1], 'i32')).toBe('QUTLASS_E_DTYPE alpha: expected f32, got i32');
  });

  it('outDType', () => {
    expect(refused({ outDType: 'i8' })).toBe('QUTLASS_E_DTYPE outDType: expected f32, bf16 or f16, got i8');
    expect(refused({ outDType: 'float' })).toBe(
      'QUTLASS_E_DTYPE outDType: expected f32, bf16 or f16, got float',
    );
  });
});

it('what is disposed is not multiplied', () => {
  using x = zeros([4, 128]);
  const a = zeros([4, 128]);
  a.dispose();
  expect(failure(() => matmul(a, x))).toBe('QUTLASS_E_DISPOSED tensor: used after dispose()');
  expect(failure(() => matmul(x, a))).toBe('QUTLASS_E_DISPOSED tensor: used after dispose()');
  const q = quantized('nvfp4');
  const p = prepare(q);
  q.dispose();
  using y = matmul(x, p);
  expect(y.shape).toEqual([4, 4]);
  expect(failure(() => matmul(x, q))).toBe('QUTLASS_E_DISPOSED quantized tensor: used after dispose()');
  p.dispose();
  expect(failure(() => matmul(x, p))).toBe('QUTLASS_E_DISPOSED quantized tensor: used after dispose()');
  const bias = zeros([4]);
  bias.dispose();
  expect(failure(() => matmul(x, x, { bias }))).toBe('QUTLASS_E_DISPOSED tensor: used after dispose()');
  const alpha = zeros([1]);
  alpha.dispose();
  expect(failure(() => matmul(x, x, { alpha }))).toBe('QUTLASS_E_DISPOSED tensor: used after dispose()');
});

it('a product of a tensor of higher rank leaves nothing behind', () => {
  const before = memoryInUse();
  const a = zeros([2, 3, 64]);
  const b = zeros([4, 64]);
  const y = matmul(a, b);
  for (const tensor of [a, b, y]) tensor.dispose();
  expect(memoryInUse()).toEqual(before);
});
