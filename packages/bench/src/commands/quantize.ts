import { formatByName } from '@qutlass/quant';
import type { Command } from 'commander';
import type { CommandContext } from '../cli/context.js';
import { listOf, runSuite, type SuiteOptions, suiteCommand } from '../cli/suite.js';
import { measureQuantizers, parseQuantizeShapes } from '../quantize/measure.js';
import type { QuantizeResults } from '../results/types.js';

interface QuantizeCommandOptions extends SuiteOptions {
  shapes?: string;
  formats?: string;
}

export function quantizeCommand(context: CommandContext): Command {
  return suiteCommand(
    'quantize',
    'Time the quantizers, with and without a rotation, of transposes and with stochastic rounding, against copying the same matrix.',
  )
    .option(
      '--shapes <list>',
      'M,K;M,K;... (default: activations of a few tokens to weights of a large model)',
    )
    .option('--formats <list>', 'formats, separated by commas (default: all on a GPU, else one of each kind)')
    .addHelpText(
      'after',
      `
Bytes are those of the input, bf16 or quantized, read once, and of codes and scales, written once.

Examples:
  $ qutlass-bench quantize --quick
  $ qutlass-bench quantize --device cuda --out quantize.json
  $ qutlass-bench quantize --shapes '1,4096;4096,8192' --formats nvfp4,mxfp4`,
    )
    .action((options: QuantizeCommandOptions) => runQuantize(context, options));
}

async function runQuantize(context: CommandContext, options: QuantizeCommandOptions): Promise<void> {
  const shapes = options.shapes === undefined ? undefined : parseQuantizeShapes(options.shapes);
  const formats = listOf(options.formats)?.map(formatByName);
  await runSuite<QuantizeResults>(context, options, 'quantize', (timing) =>
    measureQuantizers({ ...timing, shapes, formats }),
  );
}
