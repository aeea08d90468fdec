import { suites } from '../../config/vitest.js';

/** What runs with the kernels of the baseline instruction set, as on a machine that has no other. */
const generic = ['test/generic-isa.test.ts', 'test/conformance.test.ts'];

/** What uses no device, or is about that of the CPU. */
const pure = ['architecture', 'hardware', 'model', 'precision', 'roofline', 'tuning'];

export default suites({
  cpu: [
    { name: 'native', exclude: ['test/generic-isa.test.ts'] },
    { name: 'generic', include: generic, env: { QUTLASS_ISA: 'generic' } },
  ],
  cpuOnly: ['test/generic-isa.test.ts', 'test/types.test.ts', ...pure.map((name) => `src/${name}.test.ts`)],
});
