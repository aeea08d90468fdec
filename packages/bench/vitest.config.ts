import { suites } from '../../config/vitest.js';

/** What uses no device, or is about that of the CPU. */
const cpuOnly = [
  ...['test/cli.test.ts', 'src/*.test.ts', 'src/{accuracy,cli,gemm,model,report,results,tables}/**'],
  'src/timing/{copies,pace,sampling}.test.ts',
];

export default suites({ cpuOnly });
