import { otherDevice } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { failure } from '../test/failure.js';
import { NAMES } from '../test/kernels.js';
import { best, type Candidate, candidates, chooseKernel, kernelList } from './choose.js';
import { hardwareOf } from './hardware.js';
import { clearTuning, Device, formatByName, matmul, predictSeconds, quantize, Tensor } from './index.js';
import { Problem } from './problem.js';
import { recordTuning } from './tuning.js';

const ones = (rows: number, cols: number) =>
  Tensor.from(new Float32Array(rows * cols).fill(1), { shape: [rows, cols] });

const kernel = (name: string) => {
  const found = kernelList().find((candidate) => candidate.name === name);
  if (!found) throw new Error(`no kernel ${name}`);
  return found;
};

describe('a kernel asked for by name', () => {
  it('has to exist', () => {
    using x = ones(2, 32);
    const names = kernelList().map(({ name }) => name);
    expect(failure(() => matmul(x, x, { kernel: 'cpu.magic' }))).toBe(
      `QUTLASS_E_ARGUMENT kernel: expected one of ${names.join(', ')}, got "cpu.magic"`,
    );
    expect(failure(() => matmul(x, x, { kernel: '' }))).toBe(
      `QUTLASS_E_ARGUMENT kernel: expected one of ${names.join(', ')}, got ""`,
    );
  });

  it('has to support the problem', () => {
    using x = ones(2, 32);
    expect(failure(() => matmul(x, x, { kernel: NAMES.integer }))).toBe(
      'QUTLASS_E_UNSUPPORTED a and b: this kernel multiplies int8 and int4 matrices',
    );
    using q = quantize(x, formatByName('int8'));
    expect(failure(() => matmul(x, q, { kernel: NAMES.integer }))).toBe(
      'QUTLASS_E_UNSUPPORTED a and b: this kernel multiplies int8 and int4 matrices',
    );
    expect(failure(() => matmul(q, q, { kernel: NAMES.dense }))).toBe(
      'QUTLASS_E_UNSUPPORTED a and b: int8 and int4 matrices are multiplied by kernels with integer accumulators',
    );
  });

  it('is the one that runs', async () => {
    // (1 + 2^-12)^2 - 1 keeps its last bit only in sums of doubles.
    using x = Tensor.from([1 + 2 ** -12], { shape: [1, 1] });
    using bias = Tensor.from([-1], { shape: [1] });
    using reference = matmul(x, x, { bias, kernel: NAMES.reference });
    expect([...(await reference.toFloat32Array())]).toEqual([2 ** -11 + 2 ** -24]);
    using generic = matmul(x, x, { bias, kernel: NAMES.dense });
    expect([...(await generic.toFloat32Array())]).toEqual([2 ** -11]);
  });
});

describe('the choice', () => {
  const [first, second] = [kernel(NAMES.dense), kernel(NAMES.reference)];

  it('is by prediction; the order of the registry decides between equals', () => {
    const list = (a?: number, b?: number): Candidate[] => [
      a === undefined ? { kernel: first, refusal: 'no' } : { kernel: first, predictedSeconds: a },
      b === undefined ? { kernel: second, refusal: 'no' } : { kernel: second, predictedSeconds: b },
    ];
    expect(best(list(1, 2))?.kernel).toBe(first);
    expect(best(list(2, 1))?.kernel).toBe(second);
    expect(best(list(1, 1))?.kernel).toBe(first);
    expect(best(list(undefined, 1))?.kernel).toBe(second);
    expect(best(list())).toBeUndefined();
    expect(best([])).toBeUndefined();
  });

  it('is by measurement if there is one, also of a kernel that was predicted to be slower', () => {
    const measured = { kernel: second, predictedSeconds: 9, measuredSeconds: 5 };
    expect(best([{ kernel: first, predictedSeconds: 1 }, measured])?.kernel).toBe(second);
    const faster = { kernel: first, predictedSeconds: 10, measuredSeconds: 4 };
    expect(best([measured, faster])?.kernel).toBe(first);
  });

  it('is never of a kernel that waits to be asked for', () => {
    const waiting = { ...first, onRequest: true };
    expect(
      best([
        { kernel: waiting, predictedSeconds: 1, measuredSeconds: 1 },
        { kernel: second, predictedSeconds: 2 },
      ])?.kernel,
    ).toBe(second);
    expect(best([{ kernel: waiting, predictedSeconds: 1 }])).toBeUndefined();
  });
});

describe('of one B and the same M', () => {
  it('is remembered by what A is', () => {
    using b = quantize(ones(8, 64), formatByName('int8'));
    using out = Tensor.empty([2, 8], 'f32');
    using a = ones(2, 64);
    using q = quantize(a, formatByName('int8'));
    using p = quantize(a, formatByName('int4-row'));
    const variants = [a, q, p].map((x) => new Problem(x, b, { outDType: 'f32' }));
    for (const problem of [...variants, ...variants]) {
      expect(chooseKernel(problem, out)).toBe(best(candidates(problem, out))?.kernel.index);
    }
    expect(new Set(variants.map(({ variant }) => variant)).size).toBe(3);
    expect(new Set(variants.map(({ key }) => key)).size).toBe(3);
  });

  it('is made again when there are measurements, and when they are gone', () => {
    using a = ones(96, 64);
    using out = Tensor.empty([96, 96], 'f32');
    const { device } = a;
    const problem = new Problem(a, a, {});
    const predicted = chooseKernel(problem, out);
    const { index, name } = kernel(NAMES.reference);
    expect(predicted).not.toBe(index);
    recordTuning(device, { [problem.key]: { [name]: 1e-9 } });
    expect(chooseKernel(problem, out)).toBe(index);
    clearTuning(device);
    expect(chooseKernel(problem, out)).toBe(predicted);
  });
});

it('candidates are predicted on the hardware of their device', () => {
  using a = ones(7, 64);
  using b = ones(33, 64);
  using out = Tensor.empty([7, 33], 'f32');
  const problem = new Problem(a, b, {});
  expect(problem.bytes).toBe(4 * (7 * 64 + 33 * 64 + 7 * 33));
  expect(problem.operations).toBe(2 * 7 * 33 * 64);
  for (const { kernel, refusal, predictedSeconds } of candidates(problem, out)) {
    if (refusal !== undefined) continue;
    expect(predictedSeconds).toBe(predictSeconds(kernel, problem, hardwareOf(a.device)));
  }
});

it('the chosen kernel is that of the smallest prediction, on every device', () => {
  for (const device of [Device.default, otherDevice(Device)]) {
    for (const m of [1, 6, 64]) {
      using a = Tensor.zeros([m, 64], 'f32', device);
      using b = Tensor.zeros([48, 64], 'f32', device);
      using out = Tensor.empty([m, 48], 'f32', device);
      const problem = new Problem(a, b, {});
      const list = candidates(problem, out);
      expect(list.map((candidate) => candidate.kernel)).toEqual(
        kernelList().filter((kernel) => kernel.device === device.kind),
      );
      const winner = best(list)?.kernel.index;
      // The second time it is remembered.
      expect([chooseKernel(problem, out), chooseKernel(problem, out)]).toEqual([winner, winner]);
    }
  }
});

it('a fault of the problem itself is not taken for a refusal', () => {
  using a = ones(2, 32);
  using b = ones(3, 32);
  using out = Tensor.empty([2, 4], 'f32');
  expect(failure(() => chooseKernel(new Problem(a, b, { alpha: 0.5 }), out))).toBe(
    'QUTLASS_E_SHAPE out: expected shape [2, 3], got [2, 4]',
  );
});
