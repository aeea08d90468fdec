import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { QutlassError } from '@qutlass/core-kernels';
import { fileError } from './errors.js';
import { type StagedFile, stageFile, writeFully } from './file-io.js';
import {
  collectTensors,
  commitAll,
  type SafetensorsWriteOptions,
  type SizedTensor,
  stageSafetensors,
  type TensorsToWrite,
} from './safetensors-writer.js';
import { INDEX_FILE, SINGLE_FILE } from './sharded.js';

const DEFAULT_SHARD_BYTES = 5_000_000_000;
const SHARD_NAME = /^model-\d{5}-of-\d{5}\.safetensors$/;

export interface CheckpointWriteOptions extends SafetensorsWriteOptions {
  /** Data bytes a shard may hold; a tensor above that gets a shard of its own. Default: 5e9. */
  readonly maxShardBytes?: number;
}

/**
 * Writes the weights of a model directory in the Hugging Face layout: `model.safetensors`, or, above `maxShardBytes`,
 * `model-00001-of-0000N.safetensors` and so on with their index. Tensors are spread over shards in the given order.
 *
 * All files are complete before the first gets its name, and the index comes last, so data functions may read from the
 * checkpoint that is replaced. Weight files of it that are left over are removed at the end.
 *
 * @returns the names of the files in the directory, the index last
 * @throws QutlassError QUTLASS_E_CHECKPOINT, QUTLASS_E_ARGUMENT, or what a data function throws
 */
export async function writeCheckpoint(
  directory: string,
  tensors: TensorsToWrite,
  options: CheckpointWriteOptions = {},
): Promise<readonly string[]> {
  const { maxShardBytes = DEFAULT_SHARD_BYTES } = options;
  if (!(maxShardBytes > 0)) {
    throw new QutlassError(
      'QUTLASS_E_ARGUMENT',
      `maxShardBytes: expected a positive number, got ${maxShardBytes}`,
    );
  }
  const shards = splitIntoShards(await collectTensors(tensors, directory), maxShardBytes);
  const names = shards.map((_, index) => shardName(index, shards.length));
  await mkdir(directory, { recursive: true }).catch((error: unknown) => {
    throw fileError(directory, 'created', error);
  });
  const staged: StagedFile[] = [];
  try {
    for (const [index, shard] of shards.entries()) {
      staged.push(await stageSafetensors(join(directory, names[index] as string), shard, options));
    }
    if (shards.length > 1) {
      staged.push(await stageIndex(join(directory, INDEX_FILE), shards, names));
      names.push(INDEX_FILE);
    }
  } catch (error) {
    await Promise.all(staged.map((file) => file.discard()));
    throw error;
  }
  await commitAll(staged);
  await removeSuperseded(directory, names);
  return names;
}

function splitIntoShards(tensors: readonly SizedTensor[], maxShardBytes: number): readonly SizedTensor[][] {
  let shard: SizedTensor[] = [];
  const shards = [shard];
  let bytes = 0;
  for (const tensor of tensors) {
    if (shard.length > 0 && bytes + tensor.byteLength > maxShardBytes) {
      shard = [];
      shards.push(shard);
      bytes = 0;
    }
    shard.push(tensor);
    bytes += tensor.byteLength;
  }
  return shards;
}

function shardName(index: number, count: number): string {
  if (count === 1) return SINGLE_FILE;
  const digits = (value: number) => String(value).padStart(5, '0');
  return `model-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}

function stageIndex(
  path: string,
  shards: readonly SizedTensor[][],
  names: readonly string[],
): Promise<StagedFile> {
  const rows = shards.flatMap((shard, index) => shard.map((tensor) => [tensor.name, names[index]] as const));
  const totalSize = shards.flat().reduce((sum, tensor) => sum + tensor.byteLength, 0);
  const map = rows
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([tensor, file]) => `    ${JSON.stringify(tensor)}: ${JSON.stringify(file)}`);
  const text = `{\n  "metadata": { "total_size": ${totalSize} },\n  "weight_map": {\n${map.join(',\n')}\n  }\n}\n`;
  return stageFile(path, (handle) => writeFully(handle, Buffer.from(text), path));
}

/** Weight files of the checkpoint that was in the directory before: a reader might prefer them to the new ones. */
async function removeSuperseded(directory: string, kept: readonly string[]): Promise<void> {
  const weightFiles = (await readdir(directory)).filter(
    (name) => name === SINGLE_FILE || name === INDEX_FILE || SHARD_NAME.test(name),
  );
  const superseded = weightFiles.filter((name) => !kept.includes(name));
  await Promise.all(superseded.map((name) => rm(join(directory, name), { force: true })));
}
