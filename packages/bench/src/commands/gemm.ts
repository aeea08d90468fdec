import type { Command } from 'commander';
import type { CommandContext } from '../cli/context.js';
import {
  listOf,
  openDevice,
  type ProductOptions,
  runSuite,
  type SuiteOptions,
  suiteCommand,
  withProducts,
} from '../cli/suite.js';
import { measureGemm, requireKernels } from '../gemm/measure.js';
import { defaultOperands, denseDType, parseOperands } from '../gemm/operands.js';
import { shapesOf } from '../gemm/shapes.js';
import type { GemmResults } from '../results/types.js';

interface GemmCommandOptions extends SuiteOptions, ProductOptions {
  formats?: string;
  kernels?: string;
}

export function gemmCommand(context: CommandContext): Command {
  return withProducts(
    suiteCommand(
      'gemm',
      'Time matrix multiplication in every format against the dense kernel, interleaved, weights not in the cache.',
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
    .addHelpText(
      'after',
      `
The baseline is float32 on the CPU; on a GPU it is bf16 by cuBLASLt, or by the library's own kernel where that is missing.
The environment variable QUTLASS_THREADS sets the number of threads.

Examples:
  $ qutlass-bench gemm --quick
  $ qutlass-bench gemm --device cuda --model llama-3-8b --m 1,16,512 --out gemm.json
  $ qutlass-bench gemm --shapes '1,4096,4096;512,4096,4096' --formats nvfp4,int4-g128,int8-row:int8-row
  $ qutlass-bench gemm --device cpu --formats f32 --kernels cpu.f32.avx2,cpu.f32.generic`,
    )
    .action((options: GemmCommandOptions) => runGemm(context, options));
}

async function runGemm(context: CommandContext, options: GemmCommandOptions): Promise<void> {
  const device = openDevice(options);
  const dense = denseDType(device);
  const shapes = shapesOf({ ...options, device });
  const operands =
    listOf(options.formats)?.map((text) => parseOperands(text, dense)) ?? defaultOperands(dense);
  const kernels = listOf(options.kernels);
  requireKernels(kernels);
  await runSuite<GemmResults>(context, options, 'gemm', (timing) =>
    measureGemm({ ...timing, shapes, operands, kernels }),
  );
}
