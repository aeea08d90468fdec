import { Device } from '@qutlass/core-kernels';
import { Command } from 'commander';
import { type CommandContext, measured, publish } from '../cli/context.js';
import { measureGemm } from '../gemm/measure.js';
import { OPERANDS, parseOperands } from '../gemm/operands.js';
import { parseShapes, QUICK_SHAPES, SHAPES } from '../gemm/shapes.js';
import { runInfo } from '../results/run-info.js';
import type { GemmResults } from '../results/types.js';
import { gemmTables } from '../tables/gemm-table.js';

interface GemmCommandOptions {
  shapes?: string;
  formats?: string;
  kernels?: string;
  quick?: boolean;
  json?: boolean;
  out?: string;
  report?: string;
}

/** Enough rounds for a 10th and a 90th percentile that are not the extremes. */
const FULL = { rounds: 11, sampleSeconds: 0.05 };
const QUICK = { rounds: 5, sampleSeconds: 0.005 };

export function gemmCommand(context: CommandContext): Command {
  return new Command('gemm')
    .description(
      'Time matrix multiplication in every format against the dense f32 kernel, interleaved, on the CPU.',
    )
    .option('--shapes <list>', 'M,N,K;M,N,K;... (default: decoding and prefill shapes of a 7 B Llama)')
    .option(
      '--formats <list>',
      'weights, as nvfp4, or activations:weights, as int8-row:int4-g128, separated by commas',
    )
    .option(
      '--kernels <list>',
      'kernels to time (default: those that the model of the library finds promising)',
    )
    .option('--quick', 'small shapes and few rounds')
    .option('--report <file>', 'write an HTML report')
    .option('--out <file>', 'write the results as JSON to a file')
    .option('--json', 'print the results as JSON, and nothing else, on stdout')
    .addHelpText(
      'after',
      `
The environment variable QUTLASS_THREADS sets the number of threads.

Examples:
  $ qutlass-bench gemm --quick
  $ qutlass-bench gemm --shapes '1,4096,4096;512,4096,4096' --formats nvfp4,int4-g128,int8-row:int8-row
  $ qutlass-bench gemm --formats f32 --kernels cpu.f32.avx2,cpu.f32.generic`,
    )
    .action((options: GemmCommandOptions) => runGemm(context, options));
}

async function runGemm(context: CommandContext, options: GemmCommandOptions): Promise<void> {
  const { quick = false } = options;
  const device = Device.open('cpu');
  const shapes = options.shapes === undefined ? (quick ? QUICK_SHAPES : SHAPES) : parseShapes(options.shapes);
  const operands = options.formats?.split(',').map(parseOperands) ?? OPERANDS;
  const kernels = options.kernels?.split(',').map((name) => name.trim());
  const measurements = await measured(context, options, (progress) =>
    measureGemm({
      ...(quick ? QUICK : FULL),
      device,
      shapes,
      operands,
      kernels,
      signal: context.signal,
      progress,
    }),
  );
  const results: GemmResults = { ...(await runInfo(device)), suite: 'gemm', ...measurements };
  await publish(context, results, gemmTables(results), options);
}
