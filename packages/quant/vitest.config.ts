import { suites } from '../../config/vitest.js';

export default suites({ cpuOnly: ['src/format.test.ts', 'test/header.test.ts'] });
