import { Random, referenceMatmul, selected } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  Device,
  explain,
  type FloatDType,
  FORMATS,
  type Format,
  formatByName,
  hadamard,
  int4,
  matmul,
  matmulGroup,
  prepare,
  quantize,
  scope,
  Tensor,
} from '../src/index.js';
import { quantized, sample } from './cases.js';
import { failure } from './failure.js';
import { attempt, denseValues, KERNELS, quantizedValues } from './operands.js';

// Products whose activations may be rounded to int8: a kernel multiplies them as they are, or rounded as documented.

/** Columns of A that share a scale under a weight in this format; at most all of a row. */
function block({ groupCols }: Format): number {
  return groupCols === 'all' ? Number.POSITIVE_INFINITY : Math.max(32, groupCols);
}

/** The values of a [rows, cols] after rounding to int8 with amax / 127 per block, in float32. */
function rounded(a: Float64Array, cols: number, size: number): Float64Array {
  const out = new Float64Array(a.length);
  for (let begin = 0; begin < a.length; begin += cols) {
    for (let at = begin; at < begin + cols; at += size) {
      const values = a.subarray(at, Math.min(at + size, begin + cols));
      const amax = values.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0);
      const scale = Math.max(Math.fround(amax / 127), 2 ** -126);
      const reciprocal = Math.fround(1 / scale);
      for (const [i, x] of values.entries()) out[at + i] = roundEven(Math.fround(x * reciprocal)) * scale;
    }
  }
  return out;
}

function roundEven(x: number): number {
  const nearest = Math.round(x);
  return Math.abs(nearest - x) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

const INT8 = FORMATS.filter(({ kind }) => ['mxfp4', 'nvfp4', 'int4', 'int8'].includes(kind));
const onCpu = Device.default.kind === 'cpu';
const rounding = KERNELS.filter(({ name }) => name.startsWith('cpu.tiles.int8'));

describe.runIf(rounding.length > 0)('kernels that round activations to int8', () => {
  it.each(INT8)('multiply $name with them', async (format) => {
    for (const [m, n, groups] of [
      [1, 16, 1],
      [2, 33, 5],
      [15, 7, 3],
      [29, 64, 2],
      [67, 35, 3],
    ] as const) {
      const random = new Random(m * n);
      const k = format.groupCols === 'all' ? groups * 110 : groups * format.groupCols;
      const dtype = (['f32', 'bf16', 'f16'] as const)[m % 3]!;
      using a = sample(random, m, k, dtype);
      using w = quantized(random, format, [n, k], m % 2 ? 'row' : 'blocked128x4');
      using weight = prepare(w);
      using bias = Tensor.from(random.normals(n), { shape: [n], dtype });
      const product = referenceMatmul(
        rounded(await denseValues(a), k, block(format)),
        await quantizedValues(w),
        [m, n, k],
        { alpha: 1.5, bias: await denseValues(bias) },
      );
      for (const kernel of rounding) {
        for (const outDType of ['f32', 'bf16', 'f16'] as const) {
          using out = attempt(kernel, a, weight, { accuracy: 'int8', alpha: 1.5, bias, outDType });
          expect(
            await denseValues(out as Tensor<FloatDType>),
            `${kernel.name} -> ${outDType}`,
          ).toBeWithinBound(product, { outDType, accumulator: kernel.accumulator });
        }
      }
    }
  });

  it.each(INT8)('change no element of $name products by more than half a step', async (format) => {
    const [m, n] = [3, 20];
    const k = format.groupCols === 'all' ? 256 : format.groupCols * 4;
    const random = new Random(3);
    using a = sample(random, m, k, 'f32');
    using w = quantized(random, format, [n, k], 'row');
    using weight = prepare(w);
    const [left, right] = [await denseValues(a), await quantizedValues(w)];
    const { exact, magnitude } = referenceMatmul(left, right, [m, n, k]);
    const size = block(format);
    for (const kernel of rounding) {
      using out = attempt(kernel, a, weight, { accuracy: 'int8' });
      const values = await denseValues(out as Tensor<FloatDType>);
      for (const [i, value] of values.entries()) {
        const [row, col] = [Math.floor(i / n), i % n];
        let bound = 2 ** -16 * (magnitude[i] as number) + 2 ** -23 * Math.abs(exact[i] as number);
        for (let at = 0; at < k; at += size) {
          const group = left.subarray(row * k + at, row * k + Math.min(at + size, k));
          const amax = group.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0);
          const weights = right.subarray(col * k + at, col * k + Math.min(at + size, k));
          bound += (amax / 254) * weights.reduce((sum, x) => sum + Math.abs(x), 0) * (1 + 2 ** -20);
        }
        expect(Math.abs(value - (exact[i] as number))).toBeLessThanOrEqual(bound);
      }
    }
  });

  it('show a number that is not finite in its row, and in no other', async () => {
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      for (const format of ['nvfp4', 'int4-g32-asym-f16', 'int8-row'].map(formatByName)) {
        const random = new Random(8);
        const data = random.normals(11 * 256);
        data[5 * 256 + 77] = value;
        using a = Tensor.from(data, { shape: [11, 256] });
        using w = quantized(random, format, [19, 256], 'row');
        using weight = prepare(w);
        for (const kernel of rounding) {
          using out = attempt(kernel, a, weight, { accuracy: 'int8' });
          const values = await denseValues(out as Tensor<FloatDType>);
          for (const [i, y] of values.entries()) {
            expect(Number.isNaN(y), `${kernel.name} at ${i}`).toBe(Math.floor(i / 19) === 5);
          }
        }
      }
    }
  });

  it('are chosen where that is allowed, and only there', () => {
    using a = Tensor.zeros([64, 256], 'f32');
    using zeros = Tensor.zeros([256, 256], 'f32');
    using w = quantize(zeros, int4());
    using weight = prepare(w);
    expect(explain(a, weight, { accuracy: 'int8' }).chosen).toBe(rounding[0]?.name);
    expect(rounding.map(({ name }) => name)).not.toContain(explain(a, weight).chosen);
    expect(failure(() => matmul(a, weight, { kernel: rounding[0]!.name }))).toBe(
      'QUTLASS_E_UNSUPPORTED a: this kernel rounds it to int8, which has to be allowed',
    );
    expect(failure(() => matmul(a, w, { kernel: rounding[0]!.name, accuracy: 'int8' }))).toBe(
      'QUTLASS_E_UNSUPPORTED b: expected a prepared weight, this kernel reads its tiles',
    );
    using nf4 = scope(() => prepare(quantize(zeros, formatByName('nf4'))));
    expect(failure(() => matmul(a, nf4, { kernel: rounding[0]!.name, accuracy: 'int8' }))).toBe(
      'QUTLASS_E_UNSUPPORTED b: expected integers or e2m1, other values are no small multiples of a unit',
    );
  });
});

it('is a permission: where no kernel makes use of it, products are exact', async () => {
  const random = new Random(6);
  using x = sample(random, 5, 128, 'bf16');
  for (const name of selected(['nvfp4', 'fp8-row', 'nf4'], 1)) {
    using w = quantized(random, formatByName(name), [24, 128], 'row');
    using y = matmul(x, w, { accuracy: 'int8', outDType: 'f32' });
    using expected = matmul(x, w, { outDType: 'f32' });
    expect(await y.toBytes()).toEqual(await expected.toBytes());
  }
});

it('holds for all products of a group, and under rotations', async () => {
  const random = new Random(7);
  using x = sample(random, 9, 256, 'f32');
  using w = scope(() => {
    const dense = sample(random, 40, 256, 'f32');
    return prepare(quantize(dense, formatByName('mxfp4'), { rotation: hadamard(32) }));
  });
  const [y, again] = matmulGroup(x, [{ b: w }, { b: w }], { accuracy: 'int8' });
  using expected = matmul(x, w, { accuracy: 'int8' });
  using exact = matmul(x, w);
  for (const out of [y!, again!]) expect(await out.toBytes()).toEqual(await expected.toBytes());
  if (onCpu && rounding.length > 0) expect(await y!.toBytes()).not.toEqual(await exact.toBytes());
  for (const out of [y!, again!]) out.dispose();
});

it('has two values', () => {
  using x = Tensor.zeros([2, 32], 'f32');
  expect(failure(() => matmul(x, x, { accuracy: 'int4' as 'int8' }))).toBe(
    'QUTLASS_E_ARGUMENT accuracy: expected exact or int8, got int4',
  );
});
