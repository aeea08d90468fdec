import { Command } from 'commander';
import { addDeviceOption, type DeviceOptions, openModel } from './model.js';
import { numberOf } from './number.js';
import { interruptSignal } from './output.js';
import { addRecipeOptions, type RecipeOptions, recipeOf } from './recipe-options.js';

interface GenerateOptions extends RecipeOptions, DeviceOptions {
  maxTokens: string;
  temperature: string;
  topK: string;
  topP: string;
  seed: string;
}

export function generateCommand(): Command {
  const command = new Command('generate')
    .description('Continue a text.')
    .argument('<model>', 'the model directory')
    .argument('<prompt>', 'the beginning of the text')
    .option('-n, --max-tokens <count>', 'tokens at most', '128')
    .option('-t, --temperature <value>', '0 takes the likeliest token', '0')
    .option('--top-k <count>', 'sample among the k likeliest; 0 for all', '0')
    .option('--top-p <mass>', 'sample among the smallest set with this probability', '1')
    .option('--seed <number>', 'repeats a sampled text', '0');
  return addDeviceOption(addRecipeOptions(command))
    .addHelpText('after', '\nExample:\n  $ qutlass generate ./model "def main" --format nvfp4')
    .action(async (directory: string, prompt: string, options: GenerateOptions) => {
      const signal = interruptSignal();
      const sampling = {
        maxTokens: numberOf('--max-tokens', options.maxTokens),
        temperature: numberOf('--temperature', options.temperature),
        topK: numberOf('--top-k', options.topK),
        topP: numberOf('--top-p', options.topP),
        seed: numberOf('--seed', options.seed),
      };
      using model = await openModel(directory, options, recipeOf(options), signal);
      // The prompt waits for the first token: a refused option prints nothing.
      let pending = prompt;
      try {
        for await (const { text } of model.generate(prompt, { ...sampling, signal })) {
          process.stdout.write(pending + text);
          pending = '';
        }
        process.stdout.write(pending);
        pending = '';
      } finally {
        if (!pending) process.stdout.write('\n');
      }
    });
}
