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
import { shapesOf } from '../gemm/shapes.js';
import { measureLayers } from '../layer/measure.js';
import { parseVariant } from '../model/variants.js';
import type { LayerResults } from '../results/types.js';

/** Weights alone, activations in 8 bits, and both in 4 bits with the rotation that their accuracy asks for. */
export const LAYER_VARIANTS = [
  ...['bf16', 'int4-g128', 'nvfp4'],
  ...['int8-row:int8-row', 'fp8-row:fp8-row', 'int8-row:int4-g128'],
  ...['nvfp4:nvfp4', 'nvfp4:nvfp4+16', 'mxfp4:mxfp4+32'],
];

interface LayerCommandOptions extends SuiteOptions, ProductOptions {
  formats?: string;
}

export function layerCommand(context: CommandContext): Command {
  return withProducts(
    suiteCommand(
      'layer',
      'Time whole linear layers, quantizing of activations included, and the product alone, against the dense layer.',
    ),
  )
    .option(
      '--formats <list>',
      'weights, activations:weights, activations:weights+size of a Hadamard rotation',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ qutlass-bench layer --quick
  $ qutlass-bench layer --device cuda --model llama-3-8b --m 1,64,2048 --out layer.json
  $ qutlass-bench layer --shapes '16,4096,4096' --formats nvfp4,nvfp4:nvfp4,mxfp4:mxfp4+32`,
    )
    .action((options: LayerCommandOptions) => runLayer(context, options));
}

async function runLayer(context: CommandContext, options: LayerCommandOptions): Promise<void> {
  const shapes = shapesOf({ ...options, device: openDevice(options) });
  const variants = (listOf(options.formats) ?? LAYER_VARIANTS).map(parseVariant);
  await runSuite<LayerResults>(context, options, 'layer', (timing) =>
    measureLayers({ ...timing, shapes, variants }),
  );
}
