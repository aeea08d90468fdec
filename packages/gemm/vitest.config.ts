import { suites } from '../../config/vitest.js';

/** What runs with the kernels of a smaller instruction set, as on a machine that has no other. */
const generic = ['test/generic-isa.test.ts', 'test/conformance.test.ts'];
const vector = ['accuracy', 'codes', 'conformance', 'damage', 'edges', 'operations'].map(
  (name) => `test/${name}.test.ts`,
);

/** What uses no device, or is about that of the CPU. */
const pure = ['architecture', 'hardware', 'model', 'precision', 'roofline', 'tuning'];

export default suites({
  cpu: [
    { name: 'native', exclude: ['test/generic-isa.test.ts'] },
    { name: 'generic', include: generic, env: { QUTLASS_ISA: 'generic' } },
    ...['avx2', 'avx512'].map((isa) => ({ name: isa, include: vector, env: { QUTLASS_ISA: isa } })),
  ],
  cpuOnly: ['test/generic-isa.test.ts', 'test/types.test.ts', ...pure.map((name) => `src/${name}.test.ts`)],
});
