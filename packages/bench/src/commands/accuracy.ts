import { Device } from '@qutlass/core-kernels';
import { Command } from 'commander';
import { isErrorOff, isLossOff } from '../accuracy/check.js';
import { MATRIX, measureErrors } from '../accuracy/quantization-error.js';
import { type CommandContext, measured, publish } from '../cli/context.js';
import { CheckFailed } from '../cli/failure.js';
import { bundledModel } from '../model/bundled.js';
import { measureModel } from '../model/table.js';
import { gpuState } from '../results/gpu.js';
import { errorRowName, modelRowName } from '../results/names.js';
import { runInfo } from '../results/run-info.js';
import type { AccuracyResults } from '../results/types.js';

interface AccuracyOptions {
  model?: string;
  text?: string;
  quick?: boolean;
  json?: boolean;
  out?: string;
  report?: string;
}

export function accuracyCommand(context: CommandContext): Command {
  return new Command('accuracy')
    .description(
      'Loss of a model and quantization error of random matrices in every format, beside known figures.',
    )
    .option(
      '--model <directory>',
      'model in Hugging Face layout (default: the small Llama of the repository)',
    )
    .option('--text <file>', 'text to evaluate on (default: held-out tokens stored with the model)')
    .option('--quick', 'fewer variants of the model')
    .option('--report <file>', 'write an HTML report')
    .option('--out <file>', 'write the results as JSON to a file')
    .option('--json', 'print the results as JSON, and nothing else, on stdout')
    .addHelpText(
      'after',
      `
Exits with code 1 if a figure is further from the known one than its tolerance.

Examples:
  $ qutlass-bench accuracy
  $ qutlass-bench accuracy --out accuracy.json --report accuracy.html`,
    )
    .action((options: AccuracyOptions) => runAccuracy(context, options));
}

async function runAccuracy(context: CommandContext, options: AccuracyOptions): Promise<void> {
  const device = Device.open('auto');
  const before = await gpuState(device);
  const { signal } = context;
  const measurements = await measured(context, options, async (progress) => {
    const { model, rows } = await measureModel({
      directory: options.model ?? bundledModel(),
      device,
      textFile: options.text,
      quick: options.quick ?? false,
      signal,
      progress,
    });
    return { model, rows, errors: await measureErrors({ device, signal, progress }) };
  });
  const results: AccuracyResults = {
    ...(await runInfo(device, before)),
    suite: 'accuracy',
    matrix: [...MATRIX],
    ...measurements,
  };
  await publish(context, results, options);
  const { rows, errors } = results;
  const off = [
    ...rows.filter(isLossOff).map((row) => `loss of ${modelRowName(row)}`),
    ...errors.filter(isErrorOff).map((row) => `error of ${errorRowName(row)} on ${row.distribution}`),
  ];
  if (off.length > 0) throw new CheckFailed(`outside of the tolerance: ${off.join('; ')}`);
}
