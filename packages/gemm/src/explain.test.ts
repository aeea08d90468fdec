import { Random } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { failure, memoryInUse } from '../test/failure.js';
import { NAMES } from '../test/kernels.js';
import {
  clearTuning,
  Device,
  explain,
  formatByName,
  hardwareOf,
  loadBinding,
  matmul,
  type OperandA,
  type OperandB,
  precisionOf,
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
        .filter(({ device }) => device === Device.default.kind),
    );
    for (const { kernel, refusal, predictedSeconds } of explanation.candidates) {
      expect(refusal === undefined).toBe(predictedSeconds !== undefined);
      if (!kernel.available) expect(refusal).toBeDefined();
      if (kernel.name === NAMES.integer) expect(refusal).toBe(INTEGER);
      if (kernel.name === NAMES.dense) expect(predictedSeconds).toBeGreaterThan(0);
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
        .filter(({ kernel, predictedSeconds }) => predictedSeconds !== undefined && !kernel.onRequest)
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
    const names: readonly string[] = Object.values(NAMES);
    const line = (name: string, text: string) => `  ${name.padEnd(22)} ${text}`;
    const table = (a: OperandA, b: OperandB) => {
      const explanation = explain(a as QuantizedTensor, b as QuantizedTensor);
      // Which kernels a machine has beside these, what it predicts, and so which one is best, differ.
      return explanation
        .toString()
        .replaceAll(/^\*/gm, ' ')
        .replaceAll(/\d+\.\d us/g, '<time>')
        .replace(/^.*: at least/m, '<hardware>: at least')
        .replace(/\(\w+: /, '(<precision>: ')
        .replace(/[\d.]+ of [\d.]+ operations/, '<intensity> of <ridge> operations')
        .split('\n')
        .filter((line) => !/^ {2}c/.test(line) || names.includes(line.split(/ +/)[1]!));
    };
    expect(table(x, w)).toEqual([
      'f32[16, 64] x f32[32, 64] -> f32, 4.6 operations per byte',
      '<hardware>: at least <time>, bound by memory (<precision>: <intensity> of <ridge> operations per byte)',
      line(NAMES.integer, INTEGER),
      line(NAMES.dense, 'predicted <time>'),
      line(NAMES.reference, 'predicted <time>'),
    ]);
    using a = quantize(x, formatByName('int8'));
    using b = quantize(w, formatByName('int4-g32'));
    expect(table(a, b)).toEqual([
      'int8-row[16, 64] x int4-g32[32, 64] -> bf16, 19.3 operations per byte',
      '<hardware>: at least <time>, bound by memory (<precision>: <intensity> of <ridge> operations per byte)',
      line(NAMES.integer, 'predicted <time>'),
      line(NAMES.dense, NOT_INTEGER),
      line(NAMES.reference, 'predicted <time>'),
    ]);
  });

  it('compares with the roofline of the hardware', () => {
    using x = normals(16, 64);
    const { roofline: limit, hardware, precision, operations, bytes } = explain(x, x);
    expect(hardware).toBe(hardwareOf(x.device));
    expect(precision).toEqual(precisionOf('f32', 'f32', hardware.architecture));
    const work = { operations: operations * precision.products, bytes, precision: precision.precision };
    expect(limit).toEqual(roofline(hardware, work));
  });

  it('shows measured times', () => {
    using x = normals(16, 64);
    const { key } = new Problem(x, x, {});
    recordTuning(x.device, { [key]: { [NAMES.reference]: 12.34e-6 } });
    const explanation = explain(x, x);
    clearTuning(x.device);
    expect(explanation.chosen).toBe(NAMES.reference);
    expect(explanation.toString()).toMatch(/^\* c\w+\.reference +predicted \d+\.\d us, measured 12\.3 us$/m);
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
