import { Device, type DeviceName } from '@qutlass/core-kernels';
import type { Command } from 'commander';
import { Llama } from '../model/llama.js';
import { quantizeModel, type Recipe } from '../model/quantize-model.js';
import { Progress } from './output.js';

export interface DeviceOptions {
  device?: string;
}

export function addDeviceOption(command: Command): Command {
  return command.option('-d, --device <name>', 'auto, cpu, cuda or cuda:<index>', 'auto');
}

/** Loads a model and quantizes it if there is a recipe, with progress on stderr. */
export async function openModel(
  directory: string,
  { device: name = 'auto' }: DeviceOptions,
  recipe: Recipe | undefined,
  signal: AbortSignal,
): Promise<Llama> {
  const loading = new Progress('loading');
  const model = await Llama.load(directory, {
    device: Device.open(name as DeviceName),
    signal,
    onProgress: ({ tensor, done, total }) => loading.update(done, total, tensor),
  }).finally(() => loading.stop());
  if (!recipe) return model;
  const quantizing = new Progress('quantizing');
  try {
    await quantizeModel(model, recipe, {
      signal,
      onProgress: ({ module, done, total }) => quantizing.update(done, total, module),
    });
    return model;
  } catch (error) {
    model.dispose();
    throw error;
  } finally {
    quantizing.stop();
  }
}
