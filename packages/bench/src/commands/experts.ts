import { formatByName } from '@qutlass/quant';
import type { Command } from 'commander';
import type { CommandContext } from '../cli/context.js';
import { parseExtents } from '../cli/extents.js';
import { listOf, openDevice, runSuite, type SuiteOptions, suiteCommand } from '../cli/suite.js';
import { defaultLayers, parseLayers } from '../experts/layers.js';
import { measureExperts } from '../experts/measure.js';
import type { ExpertsResults } from '../results/types.js';

interface ExpertsCommandOptions extends SuiteOptions {
  layers?: string;
  tokens: string;
  formats: string;
}

export function expertsCommand(context: CommandContext): Command {
  return suiteCommand(
    'experts',
    'Time the products of the experts of a layer in one call against one call for each expert.',
  )
    .option(
      '--layers <list>',
      'E,N,K,T;... for E experts [N, K] with T for a token (default: of gpt-oss-20b and Qwen3-30B-A3B)',
    )
    .option('--tokens <list>', 'numbers of tokens, separated by commas', '1,4,16,64')
    .option('--formats <list>', 'formats of the weights, separated by commas', 'mxfp4,nvfp4,int4-g32')
    .addHelpText(
      'after',
      `
Tokens take their experts at random, the same in every run.

Examples:
  $ qutlass-bench experts --quick
  $ qutlass-bench experts --device cuda --out experts.json
  $ qutlass-bench experts --layers '32,5760,2880,4' --tokens 4,64 --formats mxfp4`,
    )
    .action((options: ExpertsCommandOptions) => runExperts(context, options));
}

async function runExperts(context: CommandContext, options: ExpertsCommandOptions): Promise<void> {
  const device = openDevice(options);
  const { quick = false } = options;
  const layers = options.layers === undefined ? defaultLayers(device, quick) : parseLayers(options.layers);
  const tokens = parseExtents(options.tokens, '--tokens', "numbers of tokens as in '1,4,64'");
  const formats = listOf(options.formats)!.map(formatByName);
  await runSuite<ExpertsResults>(context, options, 'experts', (timing) =>
    measureExperts({ ...timing, layers, tokens, formats }),
  );
}
