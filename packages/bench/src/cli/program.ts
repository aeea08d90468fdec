import { Command } from 'commander';
import { accuracyCommand } from '../commands/accuracy.js';
import { compareCommand } from '../commands/compare.js';
import { decodeCommand } from '../commands/decode.js';
import { demoCommand } from '../commands/demo.js';
import { docsCommand } from '../commands/docs.js';
import { expertsCommand } from '../commands/experts.js';
import { gemmCommand } from '../commands/gemm.js';
import { hostCommand } from '../commands/host.js';
import { layerCommand } from '../commands/layer.js';
import { peersCpuCommand } from '../commands/peers-cpu.js';
import { quantizeCommand } from '../commands/quantize.js';
import { reportCommand } from '../commands/report.js';
import { tuneCommand } from '../commands/tune.js';
import type { CommandContext } from './context.js';

/** In the order that the help has them. */
const COMMANDS = [
  ...[demoCommand, accuracyCommand],
  ...[gemmCommand, quantizeCommand, layerCommand, expertsCommand, decodeCommand, hostCommand],
  ...[peersCpuCommand, tuneCommand],
  ...[compareCommand, reportCommand, docsCommand],
];

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
  $ qutlass-bench decode --device cuda --shape llama-3-8b
  $ qutlass-bench accuracy --out accuracy.json

Failures print one line, error QUTLASS_E_...: message, and exit with code 1; DEBUG=1 adds where they came from.`,
    );
  for (const command of COMMANDS) program.addCommand(command(context));
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => context.stdout.write(text),
      // Failures are printed in one place, with a code.
      writeErr: () => {},
    });
  }
  return program;
}
