import { Device } from '@qutlass/core-kernels';
import { Command } from 'commander';
import { type CommandContext, measured, publish } from '../cli/context.js';
import { bundledModel } from '../model/bundled.js';
import { measureModel } from '../model/table.js';
import { gpuState } from '../results/gpu.js';
import { runInfo } from '../results/run-info.js';
import type { DemoResults, TextSample } from '../results/types.js';

interface DemoOptions {
  model?: string;
  text?: string;
  prompt: string;
  quick?: boolean;
  json?: boolean;
  out?: string;
  report: string;
}

export const DEFAULT_REPORT = 'qutlass-report.html';

export function demoCommand(context: CommandContext): Command {
  return new Command('demo')
    .description(
      'Quantize a small Llama into every format: size, loss and speed, a table and an HTML report.',
    )
    .option(
      '--model <directory>',
      'model in Hugging Face layout (default: the small Llama of the repository)',
    )
    .option('--text <file>', 'text to evaluate on (default: held-out tokens stored with the model)')
    .option('--prompt <text>', 'what the sample texts continue', 'def main(')
    .option('--quick', 'fewer variants')
    .option('--report <file>', 'where to write the HTML report', DEFAULT_REPORT)
    .option('--out <file>', 'also write the results as JSON to a file')
    .option('--json', 'print the results as JSON, and nothing else, on stdout')
    .addHelpText(
      'after',
      `
Examples:
  $ qutlass-bench demo
  $ qutlass-bench demo --quick --json | jq '.rows[] | [.weights, .loss]'
  $ qutlass-bench demo --model ./my-llama --text held-out.txt`,
    )
    .action((options: DemoOptions) => runDemo(context, options));
}

async function runDemo(context: CommandContext, options: DemoOptions): Promise<void> {
  const device = Device.open('auto');
  const before = await gpuState(device);
  const { model, rows, samples } = await measured(context, options, (progress) =>
    measureModel({
      directory: options.model ?? bundledModel(),
      device,
      textFile: options.text,
      prompt: options.prompt,
      quick: options.quick ?? false,
      signal: context.signal,
      progress,
    }),
  );
  const results: DemoResults = { ...(await runInfo(device, before)), suite: 'demo', model, rows, samples };
  if (!options.json) for (const sample of samples) context.stdout.write(sampleText(sample));
  await publish(context, results, options);
}

function sampleText({ weights, prompt, text }: TextSample): string {
  return `${weights} continues:\n${`${prompt}${text}`.replaceAll(/^/gm, '  ')}\n\n`;
}
