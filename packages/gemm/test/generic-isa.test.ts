import { expect, it } from 'vitest';
import { Device, explain, formatByName, loadBinding, matmul, quantize, Tensor } from '../src/index.js';

// The conformance suite runs a second time with QUTLASS_ISA=generic. This file, which runs only then, makes sure that the
// kernels which need more than the baseline are out of the way.

it('only kernels of the baseline instruction set are available', () => {
  expect(Device.open('cpu').info.isa).toBe('generic');
  const kernels = loadBinding()
    .kernels()
    .filter(({ device }) => device === 'cpu');
  expect(kernels.filter((kernel) => kernel.available).map((kernel) => kernel.name)).toEqual([
    'cpu.i32.generic',
    'cpu.f32.generic',
    'cpu.reference',
  ]);
});

it('generic kernels are the chosen ones', () => {
  using x = Tensor.from(new Float32Array(32 * 64).fill(1), { shape: [32, 64] });
  using int8 = quantize(x, formatByName('int8-row'));
  using nvfp4 = quantize(x, formatByName('nvfp4'));
  expect(explain(x, x).chosen).toBe('cpu.f32.generic');
  expect(explain(x, nvfp4).chosen).toBe('cpu.f32.generic');
  expect(explain(int8, int8).chosen).toBe('cpu.i32.generic');
});

it('a kernel that the instruction set lacks says so', () => {
  using x = Tensor.zeros([2, 32], 'f32');
  const refused = explain(x, x).candidates.filter(({ kernel }) => !kernel.available);
  expect(refused.length).toBeGreaterThan(0);
  for (const { kernel, refusal } of refused) {
    const message = `${kernel.name}: requires ${kernel.requiresIsa}, which this machine lacks or QUTLASS_ISA turns off`;
    expect(refusal).toBe(message);
    expect(() => matmul(x, x, { kernel: kernel.name })).toThrow(
      expect.objectContaining({ code: 'QUTLASS_E_UNSUPPORTED', message }),
    );
  }
});
