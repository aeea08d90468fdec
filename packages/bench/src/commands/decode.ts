import { invalidArgument } from '@qutlass/core-kernels';
import type { Command } from 'commander';
import type { CommandContext } from '../cli/context.js';
import { listOf, runSuite, type SuiteOptions, suiteCommand } from '../cli/suite.js';
import { type Head, measureDecode } from '../decode/measure.js';
import { parseVariant } from '../model/variants.js';
import { MODEL_NAMES, modelConfig } from '../models.js';
import type { DecodeResults } from '../results/types.js';

/** What `--format all` stands for. */
const ALL = ['bf16', 'int8', 'fp8', 'int4', 'mxfp4', 'nvfp4'];

const HEADS: readonly Head[] = ['dense', 'same'];

interface DecodeCommandOptions extends SuiteOptions {
  shape: string;
  format: string;
  head: string;
  layers?: string;
  context: string;
}

export function decodeCommand(context: CommandContext): Command {
  return suiteCommand(
    'decode',
    'Run a Llama with random weights: prompt and decoded tokens per second, beside what reading its bytes would allow.',
  )
    .option('--shape <name>', `${MODEL_NAMES.join(', ')}`, 'tiny')
    .option('--format <list>', `formats as in the command layer, or all: ${ALL.join(', ')}`, 'all')
    .option('--head <list>', 'the head of quantized models: dense, same (as the layers)', 'dense,same')
    .option('--layers <number>', 'fewer layers than the model has')
    .option('--context <number>', 'tokens of the prompt, after which decoding is timed', '512')
    .addHelpText(
      'after',
      `
Weights are made and quantized on the device, a matrix at a time. The embedding stays dense: a step reads one row of it.

Examples:
  $ qutlass-bench decode --quick
  $ qutlass-bench decode --device cuda --shape llama-3-8b --format all --out decode.json
  $ qutlass-bench decode --device cuda --shape llama-3-70b --format nvfp4,nvfp4:nvfp4+16 --layers 8
  $ qutlass-bench decode --device cuda --shape llama-3-8b --format int4 --head same --context 4000`,
    )
    .action((options: DecodeCommandOptions) => runDecode(context, options));
}

async function runDecode(context: CommandContext, options: DecodeCommandOptions): Promise<void> {
  const { shape: model, format } = options;
  const layers = options.layers === undefined ? undefined : parseCount('--layers', options.layers);
  const { numLayers, maxPositionEmbeddings } = modelConfig(model);
  if (layers !== undefined && layers > numLayers) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', '--layers', `at most ${numLayers} for ${model}`, `${layers}`);
  }
  const tokens = parseCount('--context', options.context);
  // Decoding adds a few.
  if (tokens > maxPositionEmbeddings / 2) {
    const expected = `at most ${maxPositionEmbeddings / 2}, half of the context of ${model}`;
    throw invalidArgument('QUTLASS_E_ARGUMENT', '--context', expected, `${tokens}`);
  }
  const variants = (format === 'all' ? ALL : listOf(format)!).map(parseVariant);
  const heads = listOf(options.head)!.map(parseHead);
  await runSuite<DecodeResults>(context, options, 'decode', (timing) =>
    measureDecode({ ...timing, model, layers, context: tokens, variants, heads }),
  );
}

function parseHead(text: string): Head {
  const head = HEADS.find((one) => one === text);
  if (head) return head;
  throw invalidArgument('QUTLASS_E_ARGUMENT', '--head', HEADS.join(', '), JSON.stringify(text));
}

function parseCount(option: string, text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value > 0) return value;
  throw invalidArgument('QUTLASS_E_ARGUMENT', option, 'a positive number', JSON.stringify(text));
}
