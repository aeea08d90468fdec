import type { QutlassError } from '@qutlass/core-kernels';
import { checkpointError, show } from './errors.js';
import { type StagedFile, stageFile, writeFully } from './file-io.js';
import { DTYPE_NAMES, type SafetensorsDtype, tensorByteLength } from './safetensors-dtype.js';
import { MAX_HEADER_BYTES, METADATA_KEY, PREFIX_BYTES } from './safetensors-header.js';
import { isUnicode } from './strict-json.js';

const ALIGNMENT = 8;

/** Little-endian, row-major bytes, which is what typed arrays hold on x64 and arm64. */
export type TensorBytes = ArrayBufferView | AsyncIterable<ArrayBufferView>;

/** A tensor to write. Dtype and shape are needed before the first byte is written, the data only when its turn comes. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** The data, whole or in pieces, or a function that is called once, when all tensors before it are written. */
  readonly data: TensorBytes | (() => TensorBytes | Promise<TensorBytes>);
}

export type TensorsToWrite = Iterable<TensorToWrite> | AsyncIterable<TensorToWrite>;

export interface SafetensorsWriteOptions {
  /** Becomes `__metadata__`. */
  readonly metadata?: Readonly<Record<string, string>> | ReadonlyMap<string, string>;
}

/** A validated source and its size. */
export interface SizedTensor extends TensorToWrite {
  readonly byteLength: number;
}

/**
 * Writes one safetensors file. Only one tensor's data is held at a time, tensors are laid out as the reference writer
 * does (widest dtype first, then by name), and the file appears under its name complete or not at all.
 *
 * @throws QutlassError QUTLASS_E_CHECKPOINT, or what a data function throws
 */
export async function writeSafetensors(
  path: string,
  tensors: TensorsToWrite,
  options: SafetensorsWriteOptions = {},
): Promise<void> {
  const sized = await collectTensors(tensors, path);
  const staged = await stageSafetensors(path, sized, options);
  await commitAll([staged]);
}

/** All sources, validated: known dtypes, sizes in whole bytes, distinct names. */
export async function collectTensors(tensors: TensorsToWrite, file: string): Promise<SizedTensor[]> {
  const sized = new Map<string, SizedTensor>();
  for await (const tensor of tensors) {
    const { name, dtype, shape, data } = tensor;
    const where = `${file}: tensor ${show(name)}`;
    if (name === METADATA_KEY || !isUnicode(name)) {
      throw checkpointError(where, `expected a name of Unicode text other than ${METADATA_KEY}`);
    }
    if (sized.has(name)) throw checkpointError(where, 'expected unique names, got it twice');
    sized.set(name, {
      name,
      dtype,
      shape: [...shape],
      data,
      byteLength: tensorByteLength(dtype, shape, where),
    });
  }
  return [...sized.values()];
}

/** Writes the file under a temporary name. */
export function stageSafetensors(
  path: string,
  tensors: readonly SizedTensor[],
  options: SafetensorsWriteOptions,
): Promise<StagedFile> {
  const ordered = tensors.toSorted(
    (a, b) =>
      dtypeRank(b.dtype) - dtypeRank(a.dtype) || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  const header = encodeHeader(ordered, options.metadata, path);
  return stageFile(path, async (handle) => {
    await writeFully(handle, header, path);
    for (const tensor of ordered) {
      const where = `${path}: tensor ${show(tensor.name)}`;
      let written = 0;
      for await (const bytes of pieces(tensor.data)) {
        written += bytes.length;
        if (written > tensor.byteLength) throw wrongLength(tensor, `at least ${written}`, where);
        await writeFully(handle, bytes, where);
      }
      if (written !== tensor.byteLength) throw wrongLength(tensor, `${written}`, where);
    }
  });
}

/** Gives staged files their names in the given order; after a failure no temporary file stays. */
export async function commitAll(files: readonly StagedFile[]): Promise<void> {
  try {
    for (const file of files) await file.commit();
  } catch (error) {
    await Promise.all(files.map((file) => file.discard()));
    throw error;
  }
}

function dtypeRank(dtype: SafetensorsDtype): number {
  return DTYPE_NAMES.indexOf(dtype);
}

/** The length and the header, padded with spaces so that the data starts at a multiple of 8. */
function encodeHeader(
  tensors: readonly SizedTensor[],
  metadata: SafetensorsWriteOptions['metadata'],
  file: string,
): Uint8Array {
  const metadataEntries = [...(metadata instanceof Map ? metadata : Object.entries(metadata ?? {}))];
  for (const [key, value] of metadataEntries) {
    if (typeof value !== 'string' || !isUnicode(key) || !isUnicode(value)) {
      throw checkpointError(
        `${file}: ${METADATA_KEY}`,
        `${show(key)}: expected Unicode text, got ${show(value)}`,
      );
    }
  }
  // Joined by hand, because an object would move integer-like names to the front and lose "__proto__".
  const members: string[] = [];
  if (metadataEntries.length > 0) members.push(`"${METADATA_KEY}":${jsonObject(metadataEntries)}`);
  let begin = 0;
  for (const { name, dtype, shape, byteLength } of tensors) {
    const entry = { dtype, shape, data_offsets: [begin, begin + byteLength] };
    members.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    begin += byteLength;
  }
  if (!Number.isSafeInteger(begin))
    throw checkpointError(file, `expected less than 2^53 bytes of data, got ${begin}`);
  const json = Buffer.from(`{${members.join(',')}}`);
  const length = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;
  if (length > MAX_HEADER_BYTES) {
    throw checkpointError(file, `header length: expected at most ${MAX_HEADER_BYTES}, got ${length}`);
  }
  const header = Buffer.alloc(PREFIX_BYTES + length, ' ');
  header.writeBigUInt64LE(BigInt(length), 0);
  header.set(json, PREFIX_BYTES);
  return header;
}

function jsonObject(entries: readonly (readonly [string, string])[]): string {
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
}

async function* pieces(data: TensorToWrite['data']): AsyncGenerator<Uint8Array> {
  const bytes = typeof data === 'function' ? await data() : data;
  if (ArrayBuffer.isView(bytes)) yield byteView(bytes);
  else for await (const piece of bytes) yield byteView(piece);
}

function byteView(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function wrongLength({ dtype, shape, byteLength }: SizedTensor, got: string, where: string): QutlassError {
  return checkpointError(where, `data: expected ${byteLength} bytes for ${dtype} ${show(shape)}, got ${got}`);
}
