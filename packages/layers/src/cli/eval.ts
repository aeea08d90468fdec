import { readFile } from 'node:fs/promises';
import { invalidArgument, QutlassError } from '@qutlass/core-kernels';
import { Command } from 'commander';
import { evaluate } from '../model/evaluate.js';
import { addDeviceOption, type DeviceOptions, openModel } from './model.js';
import { numberOf } from './number.js';
import { interruptSignal, Progress, printJson } from './output.js';
import { addRecipeOptions, type RecipeOptions, recipeOf } from './recipe-options.js';

interface EvalOptions extends RecipeOptions, DeviceOptions {
  text: string;
  window?: string;
  json?: boolean;
}

export function evalCommand(): Command {
  const command = new Command('eval')
    .description('Measure the loss and perplexity of a model on a text.')
    .argument('<model>', 'the model directory')
    .requiredOption('-t, --text <file>', 'UTF-8 text')
    .option('-w, --window <tokens>', 'tokens that see each other (default: 512, or the context of the model)')
    .option('--json', 'print as JSON');
  return addDeviceOption(addRecipeOptions(command))
    .addHelpText('after', '\nExample:\n  $ qutlass eval ./model --text held-out.txt --format int4-g128')
    .action(async (directory: string, options: EvalOptions) => {
      const signal = interruptSignal();
      const text = await readFile(options.text, 'utf8').catch((error: NodeJS.ErrnoException) => {
        throw new QutlassError('QUTLASS_E_ARGUMENT', `--text: cannot read ${options.text} (${error.code})`);
      });
      const window = options.window === undefined ? undefined : numberOf('--window', options.window);
      using model = await openModel(directory, options, recipeOf(options), signal);
      if (!model.tokenizer)
        throw invalidArgument('QUTLASS_E_CHECKPOINT', directory, 'a tokenizer.json', 'none');
      const bar = new Progress('evaluating');
      const result = await evaluate(model, model.tokenizer.encode(text), {
        ...(window !== undefined && { window }),
        signal,
        onProgress: ({ done, total }) => bar.update(done, total, 'tokens'),
      }).finally(() => bar.stop());
      if (options.json) printJson(result);
      else
        process.stdout.write(
          `loss ${result.loss.toFixed(4)} nats, perplexity ${result.perplexity.toFixed(3)}, ${result.tokens} tokens\n`,
        );
    });
}
