import { it } from 'vitest';

// Takes the place of the tests on a GPU where there is none; see vitest.ts.
it.skip(`cuda: skipped, ${process.env.QUTLASS_MISSING_GPU}`, () => {});
