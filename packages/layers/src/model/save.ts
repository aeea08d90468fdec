import { copyFile, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { QutlassError, Tensor } from '@qutlass/core-kernels';
import { type CheckpointWriteOptions, writeCheckpoint } from '../checkpoint/checkpoint-writer.js';
import { fileError } from '../checkpoint/errors.js';
import { exists, stageFile, writeFully } from '../checkpoint/file-io.js';
import { readJsonObject } from '../checkpoint/json-file.js';
import { type QuantizedModule, quantizationConfigJSON } from '../checkpoint/quantization-config.js';
import { quantizedTensorsToWrite, tensorToWrite } from '../checkpoint/quantized-weights.js';
import type { TensorToWrite } from '../checkpoint/safetensors-writer.js';
import { TiedLinear } from '../modules/linear.js';
import { QuantLinear } from '../modules/quant-linear.js';
import type { Llama } from './llama.js';

/** What a model directory holds besides config.json and weights; copied as it is. */
const COMPANIONS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'generation_config.json',
];

/**
 * Writes a loaded model, quantized or not, as a directory that {@link Llama.load} reads back bit for bit. Its other files
 * (tokenizer, generation settings) come from the directory that the model was loaded from.
 * @throws QutlassError `QUTLASS_E_CHECKPOINT`; `QUTLASS_E_ARGUMENT` for a model that was not loaded from a directory
 */
export async function saveModel(
  model: Llama,
  directory: string,
  options: CheckpointWriteOptions = {},
): Promise<void> {
  const { source } = model;
  if (source === undefined) {
    throw new QutlassError(
      'QUTLASS_E_ARGUMENT',
      'model: expected one loaded from a directory, got one made in memory',
    );
  }
  const { quantization_config: _, ...config } = await readJsonObject(join(source, 'config.json'));
  const quantization = quantizedModules(model);
  const json = {
    ...config,
    // A head that was tied may have been quantized, and is then a weight of its own.
    ...(model.config.tieWordEmbeddings && {
      tie_word_embeddings: model.child('lm_head') instanceof TiedLinear,
    }),
    ...(quantization.size && { quantization_config: quantizationConfigJSON({ modules: quantization }) }),
  };
  const path = join(directory, 'config.json');
  await mkdir(directory, { recursive: true }).catch((error: unknown) => {
    throw fileError(directory, 'created', error);
  });
  // Complete before the weights get their names, which it has to describe.
  const staged = await stageFile(path, (handle) =>
    writeFully(handle, Buffer.from(`${JSON.stringify(json, null, 2)}\n`), path),
  );
  try {
    await writeCheckpoint(directory, tensorsOf(model), { metadata: { format: 'pt' }, ...options });
    await staged.commit();
  } catch (error) {
    await staged.discard();
    throw error;
  }
  if (resolve(source) === resolve(directory)) return;
  for (const name of COMPANIONS) {
    if (!(await exists(join(source, name)))) continue;
    await copyFile(join(source, name), join(directory, name)).catch((error: unknown) => {
      throw fileError(join(directory, name), 'written', error);
    });
  }
}

function quantizedModules(model: Llama): Map<string, QuantizedModule> {
  const modules = new Map<string, QuantizedModule>();
  for (const [path, module] of model.modules()) {
    if (!(module instanceof QuantLinear)) continue;
    const { format, activations, inFeatures, weight } = module;
    modules.set(path, { format, activations, inFeatures, rotation: weight.rotation });
  }
  return modules;
}

function* tensorsOf(model: Llama): Generator<TensorToWrite> {
  for (const [name, parameter] of model.parameters()) {
    if (parameter instanceof Tensor) yield tensorToWrite(name, parameter);
    else yield* quantizedTensorsToWrite(name, parameter);
  }
}
