import { Command } from 'commander';
import { accuracyCommand } from '../commands/accuracy.js';
import { compareCommand } from '../commands/compare.js';
import { demoCommand } from '../commands/demo.js';
import { gemmCommand } from '../commands/gemm.js';
import { reportCommand } from '../commands/report.js';
import type { CommandContext } from './context.js';

/** The command line. Failures are thrown, by the parser too, not printed. */
export function createProgram(context: CommandContext, version: string): Command {
  const program = new Command('qutlass-bench')
    .description('Benchmarks, accuracy tables and reports of qutlass.')
    .version(version)
    .addHelpText(
      'after',
      `
Examples:
  $ qutlass-bench demo
  $ qutlass-bench demo --quick --json
  $ qutlass-bench gemm --quick
  $ qutlass-bench accuracy --out accuracy.json

Failures print one line, error QUTLASS_E_...: message, and exit with code 1; DEBUG=1 adds where they came from.`,
    );
  for (const command of [demoCommand, accuracyCommand, gemmCommand, compareCommand, reportCommand]) {
    program.addCommand(command(context));
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => context.stdout.write(text),
      // Failures are printed in one place, with a code.
      writeErr: () => {},
    });
  }
  return program;
}
