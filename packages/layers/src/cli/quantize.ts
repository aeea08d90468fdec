import { invalidArgument } from '@qutlass/core-kernels';
import { Command } from 'commander';
import { saveModel } from '../model/save.js';
import { addDeviceOption, type DeviceOptions, openModel } from './model.js';
import { bytesText, interruptSignal, printJson } from './output.js';
import { addRecipeOptions, type RecipeOptions, recipeOf } from './recipe-options.js';

export function quantizeCommand(): Command {
  const command = new Command('quantize')
    .description('Quantize a model and save it.')
    .argument('<model>', 'the model directory')
    .argument('<output>', 'the directory to write')
    .option('--json', 'print a summary as JSON');
  return addDeviceOption(addRecipeOptions(command))
    .addHelpText('after', '\nExample:\n  $ qutlass quantize ./model ./model-nvfp4 --format nvfp4')
    .action(
      async (input: string, output: string, options: RecipeOptions & DeviceOptions & { json?: boolean }) => {
        const recipe = recipeOf(options);
        if (!recipe) throw invalidArgument('QUTLASS_E_ARGUMENT', '--format', 'the name of a format', 'none');
        using model = await openModel(input, options, recipe, interruptSignal());
        await saveModel(model, output);
        const summary = { output, format: options.format, bytes: model.byteLength };
        if (options.json) printJson(summary);
        else process.stdout.write(`${output}: ${options.format}, ${bytesText(summary.bytes)}\n`);
      },
    );
}
