import { QutlassError } from '@qutlass/core-kernels';
import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { doctorCommand } from './doctor.js';
import { evalCommand } from './eval.js';
import { generateCommand } from './generate.js';
import { inspectCommand } from './inspect.js';
import { quantizeCommand } from './quantize.js';

/** Runs the `qutlass` command line; the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const program = new Command('qutlass')
    .description('Inspects, quantizes and runs models in low-bit formats.')
    .version(packageJson.version)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true });
  for (const command of [
    doctorCommand(),
    inspectCommand(),
    quantizeCommand(),
    evalCommand(),
    generateCommand(),
  ]) {
    program.addCommand(command.exitOverride());
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    if (error instanceof QutlassError) {
      process.stderr.write(`error ${error.code}: ${error.message}\n`);
      if (process.env.DEBUG) process.stderr.write(`${error.stack}\n`);
      return 1;
    }
    if (error instanceof Error && error.name === 'AbortError') return 130;
    throw error;
  }
}
