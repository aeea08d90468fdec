import { readFile } from 'node:fs/promises';
import { checkpointError, fileError, show } from './errors.js';
import { parseStrictJson } from './strict-json.js';

const MAX_DEPTH = 64;

export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** UTF-8 text of `bytes`; a byte order mark is kept, so that JSON parsers refuse it. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw checkpointError(where, 'expected UTF-8 text, got bytes that are not', error);
  }
}

/**
 * Reads a JSON file that holds one object.
 *
 * @throws QutlassError QUTLASS_E_CHECKPOINT if the file cannot be read or is not strict JSON
 */
export async function readJsonObject(path: string): Promise<JsonObject> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw fileError(path, 'read', error);
  }
  const value = parseStrictJson(decodeUtf8(bytes, path), path, { maxDepth: MAX_DEPTH });
  if (!isJsonObject(value)) throw checkpointError(path, `expected a JSON object, got ${show(value)}`);
  return value;
}
