// The command qutlass-bench; bin/qutlass-bench.mjs runs this file.
import { createRequire } from 'node:module';
import type { CommandContext } from './cli/context.js';
import { describeFailure, Interrupted } from './cli/failure.js';
import { createProgram } from './cli/program.js';

const { version } = createRequire(import.meta.url)('@qutlass/bench/package.json');
const controller = new AbortController();
const context: CommandContext = {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: controller.signal,
};

// Once: the second Ctrl-C ends the process in the usual way.
process.once('SIGINT', () => controller.abort(new Interrupted()));
// A reader such as `head` may leave early.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  const args = process.argv.slice(2);
  await createProgram(context, version).parseAsync(args.length > 0 ? args : ['--help'], { from: 'user' });
} catch (error) {
  const { text, exitCode } = describeFailure(error, Boolean(process.env.DEBUG));
  if (text) process.stderr.write(`${text}\n`);
  process.exitCode = exitCode;
}
