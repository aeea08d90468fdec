import { Device, type DeviceName } from '@qutlass/core-kernels';
import { Command } from 'commander';
import { measureLimits } from '../limits.js';
import { MODEL_NAMES } from '../models.js';
import { gpuState } from '../results/gpu.js';
import { runInfo } from '../results/run-info.js';
import type { Limits, TimedResults, TimedRun } from '../results/types.js';
import type { SamplingOptions } from '../timing/sampling.js';
import { samplingOf, type TimingOptions, timingSettings } from '../timing/settings.js';
import { type CommandContext, measured, type OutputOptions, publish } from './context.js';

/** The options of every command that times a device. */
export interface SuiteOptions extends OutputOptions {
  device: string;
  quick?: boolean;
}

/** The options that say which products a command measures. */
export interface ProductOptions {
  shapes?: string;
  model?: string;
  m?: string;
  full?: boolean;
}

/** A command that times a device, with the options that all of them have. */
export function suiteCommand(name: string, description: string): Command {
  return deviceCommand(name, description)
    .option('--report <file>', 'write an HTML report')
    .option('--out <file>', 'write the results as JSON to a file');
}

/** A command that runs on a device and prints results. */
export function deviceCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--device <name>', 'cpu, cuda, cuda:<index>, or auto for the best that there is', 'auto')
    .option('--quick', 'small shapes and few rounds')
    .option('--json', 'print the results as JSON, and nothing else, on stdout');
}

/** Adds {@link ProductOptions}. */
export function withProducts(command: Command): Command {
  return command
    .option('--shapes <list>', 'M,N,K;M,N,K;... (default: decoding and prefill shapes of Llamas)')
    .option('--model <list>', `instead the layers of ${MODEL_NAMES.join(', ')}, separated by commas`)
    .option('--m <list>', 'numbers of rows M, of tokens, separated by commas')
    .option('--full', 'the layers of all models, more rows, and odd extents; takes many minutes');
}

/** What a suite measures with. */
export interface SuiteTiming extends TimingOptions {
  limits: Limits;
}

/** Opens the device of the options. @throws QutlassError `QUTLASS_E_NO_DEVICE`, `QUTLASS_E_ARGUMENT` */
export function openDevice({ device }: Pick<SuiteOptions, 'device'>): Device {
  return Device.open(device as DeviceName);
}

/** Measures the limits of the device and then the suite, and publishes the results. sampling: how the suite samples. */
export async function runSuite<R extends TimedResults>(
  context: CommandContext,
  options: SuiteOptions,
  suite: R['suite'],
  measure: (timing: SuiteTiming) => Promise<R['rows']>,
  sampling: (timing: TimingOptions) => SamplingOptions = samplingOf,
): Promise<void> {
  const device = openDevice(options);
  const before = await gpuState(device);
  const results = await measured(context, options, async (progress) => {
    const timing = { device, quick: options.quick ?? false, signal: context.signal, progress };
    const limits = await measureLimits(timing);
    const rows = await measure({ ...timing, limits });
    const run: TimedRun = {
      ...(await runInfo(device, before)),
      settings: timingSettings(device, sampling(timing)),
      limits,
    };
    return { ...run, suite, rows } as R;
  });
  await publish(context, results, options);
}

/** The items of a list option, separated by commas. */
export function listOf(text: string | undefined): string[] | undefined {
  return text?.split(',').map((item) => item.trim());
}
