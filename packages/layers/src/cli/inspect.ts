import { stat } from 'node:fs/promises';
import { QutlassError } from '@qutlass/core-kernels';
import { Command } from 'commander';
import { type LlamaConfig, readLlamaConfig } from '../checkpoint/config.js';
import { readQuantizationConfig } from '../checkpoint/quantization-config.js';
import { CheckpointFiles } from '../checkpoint/sharded.js';
import { bytesText, printJson, printTable } from './output.js';

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('List the tensors of a checkpoint.')
    .argument('<path>', 'a model directory, a .safetensors file or an index')
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExample:\n  $ qutlass inspect ./model')
    .action(async (path: string, { json }: { json?: boolean }) => {
      await using files = await CheckpointFiles.open(path);
      const description = (await stat(path)).isDirectory() ? await describe(path) : {};
      const tensors = files.names.map((name) => files.info(name));
      const bytes = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
      if (json) {
        printJson({ path, bytes, ...description, tensors });
        return;
      }
      printTable(
        ['tensor', 'dtype', 'shape', 'size'],
        tensors.map(({ name, dtype, shape, byteLength }) => [
          name,
          dtype,
          `[${shape.join(', ')}]`,
          bytesText(byteLength),
        ]),
      );
      process.stdout.write(`\n${tensors.length} tensors, ${bytesText(bytes)}\n${text(description)}`);
    });
}

interface Description {
  config?: LlamaConfig;
  /** Names of formats by module. */
  quantized?: Readonly<Record<string, string>>;
  /** Why the model cannot be loaded. */
  problem?: string;
}

/** What config.json says; the tensors of a model that cannot be loaded are still worth a look. */
async function describe(directory: string): Promise<Description> {
  try {
    const config = await readLlamaConfig(directory);
    const quantization = await readQuantizationConfig(directory);
    const formats = [...(quantization?.modules ?? [])].map(([name, { format }]) => [name, format.name]);
    return { config, quantized: Object.fromEntries(formats) };
  } catch (error) {
    if (!(error instanceof QutlassError)) throw error;
    return { problem: error.message };
  }
}

function text({ config, quantized = {}, problem }: Description): string {
  if (problem !== undefined) return `not loadable: ${problem}\n`;
  if (!config) return '';
  const { numLayers, hiddenSize, numHeads, numKvHeads, vocabSize } = config;
  const heads = `${numHeads} heads (${numKvHeads} for keys and values)`;
  const model = `Llama: ${numLayers} layers, hidden ${hiddenSize}, ${heads}, vocabulary ${vocabSize}\n`;
  const formats = new Set(Object.values(quantized));
  return formats.size ? `${model}quantized: ${[...formats].join(', ')}\n` : model;
}
