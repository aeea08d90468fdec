import { type FileHandle, open } from 'node:fs/promises';
import { QutlassError } from '@qutlass/core-kernels';
import { checkpointError, fileError, show } from './errors.js';
import { readFully } from './file-io.js';
import {
  PREFIX_BYTES,
  parseHeaderLength,
  parseSafetensorsHeader,
  type SafetensorsHeader,
  type TensorEntry,
  type TensorInfo,
} from './safetensors-header.js';

/** Named tensors that are read from files when asked for: one safetensors file, or all shards of a checkpoint. */
export interface TensorReader extends AsyncDisposable {
  readonly names: readonly string[];
  readonly metadata: ReadonlyMap<string, string>;
  has(name: string): boolean;
  /** @throws QutlassError QUTLASS_E_CHECKPOINT if there is no such tensor */
  info(name: string): TensorInfo;
  /**
   * The bytes of a tensor in an array of their own, which starts an ArrayBuffer: any typed array can view it.
   *
   * @throws QutlassError QUTLASS_E_CHECKPOINT, QUTLASS_E_OUT_OF_MEMORY or, after `close`, QUTLASS_E_DISPOSED
   */
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Fills `target` with the bytes of a tensor from byte `begin` on: all of them, or as many as `target` holds.
   *
   * @throws QutlassError QUTLASS_E_ARGUMENT if the tensor ends before `begin + target.length`, or as `read`
   */
  readInto(name: string, target: Uint8Array, begin?: number): Promise<void>;
  /** Closes the files; a read that is under way may fail. Closing again does nothing. */
  close(): Promise<void>;
}

/**
 * One safetensors file. Opening reads and validates the header; data is read tensor by tensor and not kept. Reads may
 * run at the same time.
 */
export class SafetensorsFile implements TensorReader {
  readonly path: string;
  /** In the order of their data. */
  readonly names: readonly string[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly #tensors: ReadonlyMap<string, TensorEntry>;
  readonly #dataStart: number;
  readonly #handle: FileHandle;
  #closed: Promise<void> | undefined;

  private constructor(path: string, handle: FileHandle, header: SafetensorsHeader, dataStart: number) {
    this.path = path;
    this.names = [...header.tensors.keys()];
    this.metadata = header.metadata;
    this.#tensors = header.tensors;
    this.#dataStart = dataStart;
    this.#handle = handle;
  }

  /** @throws QutlassError QUTLASS_E_CHECKPOINT if the file cannot be read or breaks a rule of the format */
  static async open(path: string): Promise<SafetensorsFile> {
    const handle = await open(path, 'r').catch((error: unknown) => {
      throw fileError(path, 'opened', error);
    });
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw checkpointError(path, 'expected a file, got a directory or device');
      const prefix = new Uint8Array(Math.min(PREFIX_BYTES, stats.size));
      await readFully(handle, prefix, 0, path);
      const bytes = new Uint8Array(parseHeaderLength(prefix, stats.size, path));
      await readFully(handle, bytes, PREFIX_BYTES, path);
      const dataStart = PREFIX_BYTES + bytes.length;
      const header = parseSafetensorsHeader(bytes, stats.size - dataStart, path);
      return new SafetensorsFile(path, handle, header, dataStart);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  info(name: string): TensorInfo {
    const { dtype, shape, byteLength } = this.#entry(name);
    return { name, dtype, shape, byteLength };
  }

  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const { byteLength } = this.#entry(name);
    const target = allocate(byteLength, `${this.path}: tensor ${show(name)}`);
    await this.readInto(name, target);
    return target;
  }

  async readInto(name: string, target: Uint8Array, begin = 0): Promise<void> {
    const entry = this.#entry(name);
    const where = `${this.path}: tensor ${show(name)}`;
    if (this.#closed)
      throw new QutlassError('QUTLASS_E_DISPOSED', `${where}: expected an open file, got a closed one`);
    if (!(Number.isSafeInteger(begin) && begin >= 0 && begin + target.length <= entry.byteLength)) {
      throw new QutlassError(
        'QUTLASS_E_ARGUMENT',
        `${where}: expected a range within its ${entry.byteLength} bytes, got ${target.length} bytes from ${begin}`,
      );
    }
    await readFully(this.#handle, target, this.#dataStart + entry.begin + begin, where);
  }

  close(): Promise<void> {
    this.#closed ??= this.#handle.close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #entry(name: string): TensorEntry {
    const entry = this.#tensors.get(name);
    if (!entry)
      throw checkpointError(this.path, `expected a tensor ${show(name)}, got ${this.names.length} others`);
    return entry;
  }
}

/** Memory that is not cleared: a read fills it, or it is dropped. */
function allocate(byteLength: number, where: string): Uint8Array<ArrayBuffer> {
  try {
    const { buffer } = Buffer.allocUnsafeSlow(byteLength);
    return new Uint8Array(buffer);
  } catch (error) {
    throw new QutlassError(
      'QUTLASS_E_OUT_OF_MEMORY',
      `${where}: cannot allocate ${byteLength} bytes at once; readInto can read it in parts`,
      { cause: error },
    );
  }
}
