import { suites } from '../../config/vitest.js';

export default suites({
  cpuOnly: [
    'src/doctor.test.ts',
    'src/errors.test.ts',
    'src/loader.test.ts',
    'src/resource.test.ts',
    'test/c-example.test.ts',
    'test/header.test.ts',
    'test/instruction-sets.test.ts',
  ],
});
