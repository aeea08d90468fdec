import { type Device, type FloatDType, Tensor } from '@qutlass/core-kernels';
import { checkpointError, show } from '../checkpoint/errors.js';
import type { TensorInfo } from '../checkpoint/safetensors-header.js';
import type { TensorReader } from '../checkpoint/safetensors-reader.js';

export interface LoadProgress {
  tensor: string;
  done: number;
  total: number;
}

export interface TensorSourceOptions {
  /** Names that may be there without being read. */
  redundant: (name: string) => boolean;
  onProgress?: ((progress: LoadProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
}

const DENSE_DTYPES: Readonly<Record<string, FloatDType>> = { F32: 'f32', BF16: 'bf16', F16: 'f16' };

/** The tensors of a checkpoint while a model is built from them: counts what was read, so that nothing is overlooked. */
export class TensorSource {
  readonly #files: TensorReader;
  readonly #unread: Set<string>;
  readonly #total: number;
  readonly #options: TensorSourceOptions;
  #buffer = new Uint8Array();

  constructor(files: TensorReader, options: TensorSourceOptions) {
    this.#files = files;
    this.#options = options;
    this.#unread = new Set(files.names.filter((name) => !options.redundant(name)));
    this.#total = this.#unread.size;
  }

  info(name: string): TensorInfo {
    return this.#files.info(name);
  }

  /** The bytes of a tensor, valid until the next read: one buffer, as large as the largest so far, serves all. */
  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    this.#options.signal?.throwIfAborted();
    const { byteLength } = this.info(name);
    if (byteLength > this.#buffer.length) this.#buffer = await this.#files.read(name);
    else await this.#files.readInto(name, this.#buffer.subarray(0, byteLength));
    this.#unread.delete(name);
    this.#options.onProgress?.({ tensor: name, done: this.#total - this.#unread.size, total: this.#total });
    return this.#buffer.subarray(0, byteLength);
  }

  /** Reads a dense tensor of the shape that config.json asks for. */
  async dense(name: string, shape: readonly number[], device: Device): Promise<Tensor<FloatDType>> {
    const info = this.info(name);
    const dtype = DENSE_DTYPES[info.dtype];
    if (!dtype) throw checkpointError(`tensor ${show(name)}`, `expected F32, BF16 or F16, got ${info.dtype}`);
    if (info.shape.length !== shape.length || info.shape.some((extent, i) => extent !== shape[i])) {
      throw checkpointError(
        `tensor ${show(name)}`,
        `expected shape [${shape.join(', ')}] from config.json, got [${info.shape.join(', ')}]`,
      );
    }
    return Tensor.fromBytes(await this.read(name), { shape, dtype, device });
  }

  /** @throws QutlassError `QUTLASS_E_CHECKPOINT` if there are tensors that the model has no place for */
  requireAllRead(): void {
    const [name] = this.#unread;
    if (name === undefined) return;
    const others = this.#unread.size > 1 ? ` and ${this.#unread.size - 1} more` : '';
    throw checkpointError(
      `tensor ${show(name)}${others}`,
      'expected only tensors of the model that config.json describes',
    );
  }
}
