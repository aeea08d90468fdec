import { suites } from '../../config/vitest.js';

/** What runs with the loops of a smaller instruction set too. */
const loops = ['golden', 'properties', 'rotation', 'squares', 'stochastic'].map(
  (name) => `test/${name}.test.ts`,
);

export default suites({
  cpu: [
    { name: 'native' },
    { name: 'generic', include: loops, env: { QUTLASS_ISA: 'generic' } },
    { name: 'avx2', include: loops, env: { QUTLASS_ISA: 'avx2' } },
  ],
  cpuOnly: ['src/format.test.ts', 'test/header.test.ts'],
});
