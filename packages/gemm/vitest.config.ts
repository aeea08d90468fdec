import { suites } from '../../config/vitest.js';

/** What runs with the kernels of a smaller instruction set, as on a machine that has no other. */
const generic = ['test/generic-isa.test.ts', 'test/conformance.test.ts'];
const avx2 = ['accuracy', 'conformance', 'edges', 'operations'].map((name) => `test/${name}.test.ts`);

/** What uses no device, or is about that of the CPU. */
const pure = ['architecture', 'hardware', 'model', 'precision', 'roofline', 'tuning'];

export default suites({
  cpu: [
    { name: 'native', exclude: ['test/generic-isa.test.ts'] },
    { name: 'generic', include: generic, env: { QUTLASS_ISA: 'generic' } },
    { name: 'avx2', include: avx2, env: { QUTLASS_ISA: 'avx2' } },
  ],
  cpuOnly: ['test/generic-isa.test.ts', 'test/types.test.ts', ...pure.map((name) => `src/${name}.test.ts`)],
});
