import { Random } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { failure, memoryInUse } from '../test/failure.js';
import {
  clearTuning,
  explain,
  formatByName,
  hardwareOf,
  loadBinding,
  matmul,
  type OperandA,
  type OperandB,
  type QuantizedTensor,
  quantize,
  roofline,
  Tensor,
} from './index.js';
import { Problem } from './problem.js';
import { recordTuning } from './tuning.js';

const normals = (rows: number, cols: number, dtype: 'f32' | 'bf16' = 'f32') =>
  Tensor.from(new Random(rows).normals(rows * cols), { shape: [rows, cols], dtype });

const INTEGER = 'a and b: this kernel multiplies int8 and int4 matrices';
const NOT_INTEGER = 'a and b: int8 and int4 matrices are multiplied by kernels with integer accumulators';

describe('an explanation', () => {
  it('lists all kernels with a prediction or a reason', () => {
    using a = normals(16, 256, 'bf16');
    using w = normals(48, 256);
    using q = quantize(w, formatByName('nvfp4'));
    const explanation = explain(a, q);
    expect(explanation.candidates.map(({ kernel }) => kernel)).toEqual(
      loadBinding()
        .kernels()
        .filter(({ device }) => device === 'cpu'),
    );
    for (const { kernel, refusal, predictedSeconds } of explanation.candidates) {
      if (!kernel.available) expect(refusal).toMatch(/requires/);
      else if (kernel.accumulator === 'i32') expect(refusal).toBe(INTEGER);
      else expect(predictedSeconds).toBeGreaterThan(0);
      expect(refusal === undefined).toBe(predictedSeconds !== undefined);
    }
    expect(explanation.operations).toBe(2 * 16 * 48 * 256);
    // bf16 in, half a byte and one scale to 16 elements, the global scale, bf16 out.
    expect(explanation.bytes).toBe(2 * 16 * 256 + 48 * 256 * (1 / 2 + 1 / 16) + 4 + 2 * 16 * 48);
  });

  it('names the kernel that runs', async () => {
    using x = normals(9, 160);
    using w = normals(21, 160);
    using int8 = quantize(x, formatByName('int8'));
    using int4 = quantize(w, formatByName('int4-g32'));
    using fp8 = quantize(w, formatByName('fp8'));
    for (const [a, b] of [
      [x, w],
      [x, fp8],
      [int8, int4],
    ] as readonly (readonly [OperandA, OperandB])[]) {
      const [left, right] = [a as QuantizedTensor, b as QuantizedTensor];
      const { candidates, chosen } = explain(left, right);
      const fastest = candidates
        .filter(({ predictedSeconds }) => predictedSeconds !== undefined)
        .reduce((x, y) => (y.predictedSeconds! < x.predictedSeconds! ? y : x));
      expect(chosen).toBe(fastest.kernel.name);
      using y = matmul(left, right, { outDType: 'f32' });
      using same = matmul(left, right, { outDType: 'f32', kernel: chosen as string });
      expect(await y.toBytes()).toEqual(await same.toBytes());
    }
  });

  it('is a table', () => {
    using x = normals(16, 64);
    using w = normals(32, 64);
    const table = (a: OperandA, b: OperandB) => {
      const explanation = explain(a as QuantizedTensor, b as QuantizedTensor);
      // Which instruction sets a machine has, what it predicts, and so which kernel is best, differ.
      return explanation
        .toString()
        .replaceAll(/^\*/gm, ' ')
        .replaceAll(/\d+\.\d us/g, '<time>')
        .replace(/^.*: at least/m, '<cpu>: at least')
        .replace(/of \d+\.\d operations/, 'of <ridge> operations')
        .split('\n')
        .filter((line) => !line.includes('avx'));
    };
    expect(table(x, w)).toEqual([
      'f32[16, 64] x f32[32, 64] -> f32, 4.6 operations per byte',
      '<cpu>: at least <time>, bound by memory (f32: 4.6 of <ridge> operations per byte)',
      `  cpu.i32.generic      ${INTEGER}`,
      '  cpu.f32.generic      predicted <time>',
      '  cpu.reference        predicted <time>',
    ]);
    using a = quantize(x, formatByName('int8'));
    using b = quantize(w, formatByName('int4-g32'));
    expect(table(a, b)).toEqual([
      'int8-row[16, 64] x int4-g32[32, 64] -> bf16, 19.3 operations per byte',
      '<cpu>: at least <time>, bound by memory (int8: 19.3 of <ridge> operations per byte)',
      '  cpu.i32.generic      predicted <time>',
      `  cpu.f32.generic      ${NOT_INTEGER}`,
      '  cpu.reference        predicted <time>',
    ]);
  });

  it('compares with the roofline of the hardware', () => {
    using x = normals(16, 64);
    const { roofline: limit, hardware, precision, operations, bytes } = explain(x, x);
    expect(hardware).toBe(hardwareOf(x.device));
    expect(precision).toEqual({ precision: 'f32', native: true, products: 1 });
    expect(limit).toEqual(roofline(hardware, { operations, bytes, precision: 'f32' }));
  });

  it('shows measured times', () => {
    using x = normals(16, 64);
    const { key } = new Problem(x, x, {});
    recordTuning(x.device, { [key]: { 'cpu.reference': 12.34e-6 } });
    const explanation = explain(x, x);
    clearTuning(x.device);
    expect(explanation.chosen).toBe('cpu.reference');
    expect(explanation.toString()).toMatch(/^\* cpu\.reference {8}predicted \d+\.\d us, measured 12\.3 us$/m);
  });

  it('marks the chosen kernel', () => {
    using x = normals(16, 64);
    const explanation = explain(x, x);
    const marked = explanation
      .toString()
      .split('\n')
      .filter((line) => line.startsWith('*'));
    expect(marked).toHaveLength(1);
    expect(marked[0]).toContain(` ${explanation.chosen} `);
  });

  it('leaves no memory in use', () => {
    using x = normals(16, 64);
    const before = memoryInUse();
    explain(x, x);
    expect(memoryInUse()).toEqual(before);
  });

  it('refuses what matmul refuses', () => {
    using a = normals(4, 64);
    using b = normals(4, 32);
    expect(failure(() => explain(a, b))).toBe(
      'QUTLASS_E_SHAPE a: expected shape [.., 32] as b [N, K] = [4, 32], got [4, 64]',
    );
    expect(failure(() => explain(a, a, { alpha: Number.NaN }))).toBe(
      'QUTLASS_E_ARGUMENT alpha: expected a finite number, got nan',
    );
  });
});
