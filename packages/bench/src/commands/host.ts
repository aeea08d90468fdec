import type { Command } from 'commander';
import type { CommandContext } from '../cli/context.js';
import { listOf, runSuite, type SuiteOptions, type SuiteTiming, suiteCommand } from '../cli/suite.js';
import { hostSampling, measureHost } from '../host/measure.js';
import { parseVariant } from '../model/variants.js';
import type { HostResults } from '../results/types.js';

const VARIANTS = ['bf16', 'nvfp4', 'int4-g128', 'int8-row:int8-row', 'nvfp4:nvfp4', 'nvfp4:nvfp4+16'];

interface HostCommandOptions extends SuiteOptions {
  formats?: string;
}

export function hostCommand(context: CommandContext): Command {
  return suiteCommand(
    'host',
    'Time the JavaScript thread: what enqueuing a layer or launching a graph costs it.',
  )
    .option(
      '--formats <list>',
      'weights, activations:weights, activations:weights+size of a Hadamard rotation',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ qutlass-bench host
  $ qutlass-bench host --device cuda --formats nvfp4,nvfp4:nvfp4 --out host.json`,
    )
    .action((options: HostCommandOptions) => runHost(context, options));
}

async function runHost(context: CommandContext, options: HostCommandOptions): Promise<void> {
  const variants = (listOf(options.formats) ?? VARIANTS).map(parseVariant);
  const measure = (timing: SuiteTiming) => measureHost({ ...timing, variants });
  await runSuite<HostResults>(context, options, 'host', measure, hostSampling);
}
