import { invalidArgument } from '@qutlass/core-kernels';
import { FORMATS, formatByName, hadamard, identity, type Rotation } from '@qutlass/quant';
import { type Command, Option } from 'commander';
import type { Recipe } from '../model/quantize-model.js';

export interface RecipeOptions {
  format?: string;
  activations?: string;
  rotation?: string;
  include?: string[];
  exclude?: string[];
}

/** Adds the options that describe a {@link Recipe}. */
export function addRecipeOptions(command: Command): Command {
  return command
    .option('-f, --format <name>', 'format of the weights')
    .option('-a, --activations <name>', 'also quantize activations, in this format')
    .addOption(new Option('-r, --rotation <rotation>', 'hadamard:<size>, hadamard:<size>:<seed> or identity'))
    .option('--include <patterns...>', 'modules to quantize (default: all linear layers)')
    .option('--exclude <patterns...>', 'modules to leave as they are (default: lm_head)')
    .addHelpText('after', `\nFormats: ${FORMATS.map(({ name }) => name).join(', ')}`);
}

/** The recipe, or undefined if no format is given. */
export function recipeOf({
  format,
  activations,
  rotation,
  include,
  exclude,
}: RecipeOptions): Recipe | undefined {
  if (format === undefined) {
    const [idle] =
      Object.entries({ activations, rotation, include, exclude }).find(([, value]) => value) ?? [];
    if (idle)
      throw invalidArgument('QUTLASS_E_ARGUMENT', '--format', `the name of a format with --${idle}`, 'none');
    return undefined;
  }
  return {
    format: formatByName(format),
    activations: activations === undefined ? null : formatByName(activations),
    ...(rotation !== undefined && { rotation: parseRotation(rotation) }),
    ...(include && { include }),
    ...(exclude && { exclude }),
  };
}

function parseRotation(text: string): Rotation {
  if (text === 'identity') return identity();
  const match = /^hadamard:(\d+)(?::(\d+))?$/.exec(text);
  if (!match) {
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      '--rotation',
      'hadamard:<size>[:<seed>] or identity',
      JSON.stringify(text),
    );
  }
  const [, size, seed] = match;
  return hadamard(Number(size), seed === undefined ? {} : { seed: Number(seed) });
}
