import { type TunedProblem, type TuneProblem, tune } from '@qutlass/gemm';
import type { Command } from 'commander';
import { type CommandContext, measured, printTables } from '../cli/context.js';
import { deviceCommand, listOf, openDevice, type ProductOptions, withProducts } from '../cli/suite.js';
import { defaultOperands, denseDType, operandName, parseOperands } from '../gemm/operands.js';
import { shapeName, shapesOf } from '../gemm/shapes.js';
import { tuneTable } from '../tables/tune-table.js';

interface TuneCommandOptions extends ProductOptions {
  device: string;
  formats?: string;
  kernels?: string;
  cache?: string;
  quick?: boolean;
  json?: boolean;
}

/** Samples of each kernel with --quick. */
const QUICK_ROUNDS = 3;

export function tuneCommand(context: CommandContext): Command {
  return withProducts(
    deviceCommand(
      'tune',
      'Measure which kernel is the fastest for each product, and keep the results in the tuning cache.',
    ),
  )
    .option(
      '--formats <list>',
      'weights, as nvfp4, or activations:weights, as int8-row:int4-g128, separated by commas',
    )
    .option(
      '--kernels <list>',
      'kernels to time (default: those that the model of the library finds promising)',
    )
    .option(
      '--cache <file>',
      'the file to keep results in (default: that of QUTLASS_TUNE_CACHE, or one of the user)',
    )
    .addHelpText(
      'after',
      `
The library reads the file by itself if QUTLASS_TUNE_CACHE names it; loadTuning() reads it otherwise.

Examples:
  $ qutlass-bench tune --device cuda --model llama-3-8b --formats nvfp4,int4-g128
  $ qutlass-bench tune --shapes '1,4096,4096' --formats nvfp4 --cache tuning.json`,
    )
    .action((options: TuneCommandOptions) => runTune(context, options));
}

async function runTune(context: CommandContext, options: TuneCommandOptions): Promise<void> {
  const device = openDevice(options);
  const dense = denseDType(device);
  const shapes = shapesOf({ ...options, device });
  const operands =
    listOf(options.formats)?.map((text) => parseOperands(text, dense)) ?? defaultOperands(dense);
  const problems = shapes.flatMap((shape) =>
    operands.map(({ a, weight }): TuneProblem => ({ ...shape, a, b: weight, outDType: dense })),
  );
  const kernels = listOf(options.kernels);
  const tuned = await measured(context, {}, (progress) =>
    tune(problems, {
      device,
      signal: context.signal,
      ...(options.quick && { rounds: QUICK_ROUNDS }),
      ...(kernels && { kernels }),
      ...(options.cache !== undefined && { cache: options.cache }),
      progress: ({ done, total, problem }) => {
        if (problem) progress.step(`${problemName(problem)} (${done + 1} of ${total})`);
      },
    }),
  );
  if (options.json) context.stdout.write(`${JSON.stringify(tuned.map(summaryOf), null, 2)}\n`);
  else printTables(context, [tuneTable(problems.map(problemName), tuned)]);
}

function problemName({ a, b, ...shape }: TuneProblem): string {
  return `${shapeName(shape)} ${operandName(a)} x ${operandName(b)}`;
}

/** Without what {@link tune} repeats of the kernels themselves. */
function summaryOf({ key, candidates, chosen }: TunedProblem) {
  const able = candidates.filter(({ refusal }) => refusal === undefined);
  return {
    key,
    chosen: chosen ?? null,
    kernels: able.map(({ kernel: { name }, predictedSeconds, measuredSeconds }) => ({
      name,
      predictedSeconds: predictedSeconds ?? null,
      measuredSeconds: measuredSeconds ?? null,
    })),
  };
}
