import { suites } from '../../config/vitest.js';

export default suites({ cpuOnly: ['src/checkpoint/**/*.test.ts'] });
