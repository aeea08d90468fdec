import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { checkpointError, fileError, show } from './errors.js';
import { exists } from './file-io.js';
import { isJsonObject, readJsonObject } from './json-file.js';
import type { TensorInfo } from './safetensors-header.js';
import { SafetensorsFile, type TensorReader } from './safetensors-reader.js';

/** The names Hugging Face gives to the weights in a model directory. */
export const SINGLE_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';

/**
 * The tensors of a checkpoint, wherever its files put them. What it is opened with may be
 * - a directory: `model.safetensors` in it or, failing that, the shards of `model.safetensors.index.json`;
 * - a safetensors file;
 * - an index file.
 *
 * With an index, its `weight_map` says what the checkpoint holds: a tensor of a shard that it does not name is left
 * out. All headers are read and checked when opening; data is read tensor by tensor.
 */
export class CheckpointFiles implements TensorReader {
  /** In the order of the shards and of their data. */
  readonly names: readonly string[];
  /** `__metadata__` of all shards together; where two differ the first shard has precedence. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly files: readonly SafetensorsFile[];
  readonly #fileOf: ReadonlyMap<string, SafetensorsFile>;
  readonly #source: string;

  private constructor(
    source: string,
    files: readonly SafetensorsFile[],
    fileOf: Map<string, SafetensorsFile>,
  ) {
    this.#source = source;
    this.files = files;
    this.#fileOf = fileOf;
    this.names = files.flatMap((file) => file.names.filter((name) => fileOf.get(name) === file));
    this.metadata = new Map(files.toReversed().flatMap((file) => [...file.metadata]));
  }

  /** @throws QutlassError QUTLASS_E_CHECKPOINT if a file is missing, breaks a rule or contradicts the index */
  static async open(path: string): Promise<CheckpointFiles> {
    const source = await resolveSource(path);
    const files: SafetensorsFile[] = [];
    const fileOf = new Map<string, SafetensorsFile>();
    try {
      if (source.endsWith('.json')) {
        await openShards(source, files, fileOf);
      } else {
        const file = await SafetensorsFile.open(source);
        files.push(file);
        for (const name of file.names) fileOf.set(name, file);
      }
    } catch (error) {
      await closeAll(files);
      throw error;
    }
    return new CheckpointFiles(source, files, fileOf);
  }

  has(name: string): boolean {
    return this.#fileOf.has(name);
  }

  info(name: string): TensorInfo {
    return this.#file(name).info(name);
  }

  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.#file(name).read(name);
  }

  async readInto(name: string, target: Uint8Array, begin = 0): Promise<void> {
    return this.#file(name).readInto(name, target, begin);
  }

  close(): Promise<void> {
    return closeAll(this.files);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #file(name: string): SafetensorsFile {
    const file = this.#fileOf.get(name);
    if (!file)
      throw checkpointError(this.#source, `expected a tensor ${show(name)}, got ${this.names.length} others`);
    return file;
  }
}

/** The safetensors file or the index that stands for `path`. */
async function resolveSource(path: string): Promise<string> {
  const stats = await stat(path).catch((error: unknown) => {
    throw fileError(path, 'opened', error);
  });
  if (!stats.isDirectory()) return path;
  for (const name of [SINGLE_FILE, INDEX_FILE]) {
    const candidate = join(path, name);
    if (await exists(candidate)) return candidate;
  }
  throw checkpointError(path, `expected ${SINGLE_FILE} or ${INDEX_FILE} in the directory, got neither`);
}

/** Opens every shard of an index, adding to `files` one by one so that the caller can close them after a failure. */
async function openShards(
  index: string,
  files: SafetensorsFile[],
  fileOf: Map<string, SafetensorsFile>,
): Promise<void> {
  const weightMap = await readWeightMap(index);
  const shards = new Map<string, SafetensorsFile>();
  for (const [name, shardName] of [...weightMap].sort(([, a], [, b]) => (a < b ? -1 : Number(a > b)))) {
    const where = `${index}: weight_map: tensor ${show(name)}`;
    let shard = shards.get(shardName);
    if (!shard) {
      const path = join(dirname(index), shardName);
      if (!(await exists(path))) throw checkpointError(where, `expected a file ${show(shardName)}, got none`);
      shard = await SafetensorsFile.open(path);
      files.push(shard);
      shards.set(shardName, shard);
    }
    if (!shard.has(name))
      throw checkpointError(where, `expected to be in ${show(shardName)}, which lacks it`);
    fileOf.set(name, shard);
  }
}

async function readWeightMap(path: string): Promise<Map<string, string>> {
  const { weight_map: weightMap } = await readJsonObject(path);
  if (!isJsonObject(weightMap)) {
    throw checkpointError(path, `weight_map: expected an object of file names, got ${show(weightMap)}`);
  }
  const files = new Map<string, string>();
  for (const [name, file] of Object.entries(weightMap)) {
    if (typeof file !== 'string' || !isPlainFileName(file)) {
      throw checkpointError(
        path,
        `weight_map: tensor ${show(name)}: expected the name of a file in the same directory, got ${show(file)}`,
      );
    }
    files.set(name, file);
  }
  return files;
}

/** No separators, on any platform, and no `..`: an index cannot point outside its directory. */
function isPlainFileName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\\:\0]/.test(name);
}

async function closeAll(files: readonly SafetensorsFile[]): Promise<void> {
  await Promise.all(files.map((file) => file.close()));
}
