import { defineConfig } from 'vitest/config';
import shared from '../../config/vitest.js';

const { reporters, outputFile, ...test } = shared.test ?? {};
/** What runs with the kernels of the baseline instruction set, as on a machine that has no other. */
const generic = ['test/generic-isa.test.ts', 'test/conformance.test.ts'];

export default defineConfig({
  test: {
    reporters: reporters ?? [],
    ...(outputFile && { outputFile }),
    projects: [
      { test: { ...test, name: 'native', exclude: ['test/generic-isa.test.ts'] } },
      { test: { ...test, name: 'generic', include: generic, env: { QUTLASS_ISA: 'generic' } } },
    ],
  },
});
