import { expect, it } from 'vitest';
import { ARCHITECTURES, architectureOf, ratesOf } from './architecture.js';
import { HARDWARE } from './hardware.js';

it('takes an unknown architecture for the newest that is not newer', () => {
  expect(ARCHITECTURES.filter((name) => name !== 'x64').map(architectureOf)).toEqual(ARCHITECTURES.slice(1));
  expect(['sm_87', 'sm_99', 'sm_110', 'sm_130', 'sm_70'].map(architectureOf)).toEqual([
    'sm_86',
    'sm_90',
    'sm_103',
    'sm_121',
    'sm_75',
  ]);
  expect(['avx2', 'generic', ''].map(architectureOf)).toEqual(['x64', 'x64', 'x64']);
});

it('halves what GeForce cards halve', () => {
  expect(ratesOf('sm_89', 'NVIDIA GeForce RTX 4070')).toMatchObject({ bf16: 512, fp8: 1024, int8: 2048 });
  expect(ratesOf('sm_89', 'NVIDIA L4')).toMatchObject({ bf16: 1024, fp8: 2048, int8: 2048 });
  expect(ratesOf('sm_120', 'NVIDIA GeForce RTX 5080')).toMatchObject({ bf16: 512, fp8: 2048, fp4: 4096 });
  expect(ratesOf('sm_90', 'NVIDIA GeForce')).toEqual(ratesOf('sm_90', 'NVIDIA H100 PCIe'));
});

// Datasheets and rates per clock come from different documents. Peaks of tensor cores may be given at a clock below the
// highest; the datasheet of the L40S gives int4 no more than int8.
it.each(HARDWARE)('agrees with the datasheet of the $name', (hardware) => {
  const rates = ratesOf(hardware.architecture, hardware.name);
  expect(Object.keys(hardware.peak).sort()).toEqual(Object.keys(rates).sort());
  for (const [precision, peak] of Object.entries(hardware.peak)) {
    if (hardware.name === 'L40S' && precision === 'int4') continue;
    const computed = rates[precision as keyof typeof rates]! * hardware.multiprocessors * hardware.clock;
    expect(peak / computed, precision).toBeGreaterThan(0.9);
    expect(peak / computed, precision).toBeLessThan(1.03);
  }
});
