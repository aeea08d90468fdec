import { describe, expect, it } from 'vitest';
import { failure } from '../test/failure.js';
import { best, type Candidate, candidates, chooseKernel, kernelList, predictSeconds } from './choose.js';
import { Device, formatByName, matmul, quantize, Tensor } from './index.js';
import { Problem } from './problem.js';

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
    expect(failure(() => matmul(x, x, { kernel: 'cpu.i32.generic' }))).toBe(
      'QUTLASS_E_UNSUPPORTED a and b: this kernel multiplies int8 and int4 matrices',
    );
    using q = quantize(x, formatByName('int8'));
    expect(failure(() => matmul(x, q, { kernel: 'cpu.i32.generic' }))).toBe(
      'QUTLASS_E_UNSUPPORTED a and b: this kernel multiplies int8 and int4 matrices',
    );
    expect(failure(() => matmul(q, q, { kernel: 'cpu.f32.generic' }))).toBe(
      'QUTLASS_E_UNSUPPORTED a and b: int8 and int4 matrices are multiplied by kernels with integer accumulators',
    );
  });

  it('is the one that runs', async () => {
    // (1 + 2^-12)^2 - 1 keeps its last bit only in sums of doubles.
    using x = Tensor.from([1 + 2 ** -12], { shape: [1, 1] });
    using bias = Tensor.from([-1], { shape: [1] });
    using reference = matmul(x, x, { bias, kernel: 'cpu.reference' });
    expect([...(await reference.toFloat32Array())]).toEqual([2 ** -11 + 2 ** -24]);
    using generic = matmul(x, x, { bias, kernel: 'cpu.f32.generic' });
    expect([...(await generic.toFloat32Array())]).toEqual([2 ** -11]);
  });
});

describe('the prediction', () => {
  it('is the larger of the times of computing whole tiles and of moving the operands', () => {
    using a = ones(7, 64);
    using b = ones(33, 64);
    const problem = new Problem(a, b, {});
    const { threads } = problem.device.info;
    const bytes = 4 * (7 * 64 + 33 * 64 + 7 * 33);
    expect(problem.bytes).toBe(bytes);
    expect(problem.operations).toBe(2 * 7 * 33 * 64);
    const reference = { ...kernel('cpu.reference'), tile: [6, 16, 192] as const, peakGops: 2 };
    expect(predictSeconds(reference, problem)).toBeCloseTo((2 * 12 * 48 * 64) / (2e9 * threads), 12);
    const quick = { ...reference, peakGops: 1e9 };
    expect(predictSeconds(quick, problem)).toBeCloseTo(bytes / 20e9, 12);
  });

  it('decides; the order of the registry decides between equals', () => {
    const [first, second] = [kernel('cpu.f32.generic'), kernel('cpu.reference')];
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
});

it('the chosen kernel is that of the smallest prediction, on every device', () => {
  for (const device of [Device.open('cpu'), Device.open('cpu', { threads: 1 })]) {
    for (const m of [1, 6, 64]) {
      using a = Tensor.zeros([m, 64], 'f32', device);
      using b = Tensor.zeros([48, 64], 'f32', device);
      using out = Tensor.empty([m, 48], 'f32', device);
      const problem = new Problem(a, b, {});
      const list = candidates(problem, out);
      expect(list.map((candidate) => candidate.kernel)).toEqual(kernelList());
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
