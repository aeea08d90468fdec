import type { JSONPath } from 'jsonc-parser';
import { checkpointError, show } from './errors.js';
import { decodeUtf8, isJsonObject } from './json-file.js';
import { isByteCount, type SafetensorsDtype, tensorByteLength } from './safetensors-dtype.js';
import { parseStrictJson } from './strict-json.js';

/** The file starts with the length of the header as a little-endian u64. */
export const PREFIX_BYTES = 8;
/** The format's own limit on the header. */
export const MAX_HEADER_BYTES = 100_000_000;
/** The one key of the header that is not a tensor. */
export const METADATA_KEY = '__metadata__';

/** `{ tensor: { shape: [...] } }` */
const MAX_DEPTH = 3;
const ENTRY_KEYS: readonly string[] = ['dtype', 'shape', 'data_offsets'];
const PLAIN_INTEGER = /^(0|[1-9][0-9]*)$/;
const OPEN_BRACE = 0x7b;

/** What a checkpoint says about a tensor. Data is little-endian and in row-major order. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  /** Extents, outermost first; none for a scalar. */
  readonly shape: readonly number[];
  readonly byteLength: number;
}

export interface TensorEntry extends TensorInfo {
  /** First byte of the tensor, counted from the start of the data section. */
  readonly begin: number;
}

export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/**
 * The length of the JSON header in bytes.
 *
 * @param prefix the first 8 bytes of the file, or all of it if it is shorter
 * @param fileLength bytes in the file
 * @param file its name, for error messages
 * @throws QutlassError QUTLASS_E_CHECKPOINT
 */
export function parseHeaderLength(prefix: Uint8Array, fileLength: number, file: string): number {
  if (fileLength < PREFIX_BYTES || prefix.length < PREFIX_BYTES) {
    throw checkpointError(file, `expected at least ${PREFIX_BYTES} bytes, got ${fileLength}`);
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw checkpointError(file, `header length: expected at most ${MAX_HEADER_BYTES}, got ${length}`);
  }
  if (length > fileLength - PREFIX_BYTES) {
    const rest = fileLength - PREFIX_BYTES;
    throw checkpointError(
      file,
      `header length: expected at most the ${rest} bytes left in the file, got ${length}`,
    );
  }
  return Number(length);
}

/**
 * Parses and validates the JSON header of a safetensors file. The tensors of the result tile the data section: every
 * byte of it belongs to exactly one tensor.
 *
 * @param bytes the header, without the length before it
 * @param dataLength bytes in the file after the header
 * @param file its name, for error messages
 * @throws QutlassError QUTLASS_E_CHECKPOINT
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  dataLength: number,
  file: string,
): SafetensorsHeader {
  const where = `${file}: header`;
  const text = decodeUtf8(bytes, where);
  if (bytes[0] !== OPEN_BRACE) {
    throw checkpointError(where, `expected it to start with "{", got ${show(text[0])}`);
  }
  const onNumber = (literal: string, path: JSONPath) => checkNumber(literal, path, file);
  // It starts with a brace, so the value is an object.
  const header = parseStrictJson(text, where, { maxDepth: MAX_DEPTH, onNumber }) as object;
  const entries: TensorEntry[] = [];
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA_KEY) metadata = parseMetadata(value, file);
    else entries.push(parseEntry(name, value, dataLength, `${file}: tensor ${show(name)}`));
  }
  entries.sort((a, b) => a.begin - b.begin || a.byteLength - b.byteLength);
  checkTiling(entries, dataLength, file);
  return { metadata, tensors: new Map(entries.map((entry) => [entry.name, entry])) };
}

/** Extents and offsets are plain decimal integers: after JSON.parse `1.0`, `1e0` and `-0` would pass for them. */
function checkNumber(literal: string, path: JSONPath, file: string): void {
  const [name, key, index] = path;
  if (index === undefined || name === METADATA_KEY || PLAIN_INTEGER.test(literal)) return;
  throw checkpointError(
    `${file}: tensor ${show(name)}`,
    `${key}[${index}]: expected an integer from 0 to 2^53 - 1, got ${literal}`,
  );
}

function parseMetadata(value: unknown, file: string): ReadonlyMap<string, string> {
  const where = `${file}: ${METADATA_KEY}`;
  if (!isJsonObject(value)) throw checkpointError(where, `expected an object of strings, got ${show(value)}`);
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') {
      throw checkpointError(where, `${show(key)}: expected a string, got ${show(text)}`);
    }
    metadata.set(key, text);
  }
  return metadata;
}

function parseEntry(name: string, value: unknown, dataLength: number, where: string): TensorEntry {
  if (!isJsonObject(value)) {
    throw checkpointError(where, `expected an object of ${ENTRY_KEYS.join(', ')}, got ${show(value)}`);
  }
  for (const key of Object.keys(value)) {
    // A key of a later version of the format may change what the bytes mean.
    if (!ENTRY_KEYS.includes(key)) {
      throw checkpointError(where, `expected only ${ENTRY_KEYS.join(', ')}, got ${show(key)}`);
    }
  }
  const { dtype, shape, data_offsets: offsets } = value;
  const byteLength = tensorByteLength(dtype, shape, where);
  if (!isOffsetPair(offsets)) {
    throw checkpointError(
      where,
      `data_offsets: expected two integers from 0 to 2^53 - 1, the first not above the second, got ${show(offsets)}`,
    );
  }
  const [begin, end] = offsets;
  if (end - begin !== byteLength) {
    throw checkpointError(
      where,
      `data_offsets: expected ${byteLength} bytes for ${dtype} ${show(shape)}, got ${end - begin}`,
    );
  }
  if (end > dataLength) {
    throw checkpointError(
      where,
      `data_offsets: expected an end within the ${dataLength} bytes of data, got ${end}; the file may be truncated`,
    );
  }
  return { name, dtype: dtype as SafetensorsDtype, shape: shape as number[], byteLength, begin };
}

function isOffsetPair(value: unknown): value is readonly [number, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [begin, end] = value as readonly unknown[];
  return isByteCount(begin) && isByteCount(end) && begin <= end;
}

/** @param entries in the order of their data */
function checkTiling(entries: readonly TensorEntry[], dataLength: number, file: string): void {
  let end = 0;
  let previous = 'the data begins';
  for (const { name, begin, byteLength } of entries) {
    if (begin !== end) {
      const fault = begin < end ? 'an overlap' : 'a hole';
      throw checkpointError(
        `${file}: tensor ${show(name)}`,
        `data_offsets: expected to begin at ${end}, where ${previous}, got ${begin}: ${fault}`,
      );
    }
    end += byteLength;
    previous = `tensor ${show(name)} ends`;
  }
  if (end !== dataLength) {
    throw checkpointError(
      file,
      `expected the data to end at ${end}, where ${previous}, got ${dataLength} bytes of data`,
    );
  }
}
