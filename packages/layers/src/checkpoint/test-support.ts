import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QutlassError } from '@qutlass/core-kernels';
import fc from 'fast-check';
import { onTestFinished } from 'vitest';
import { SAFETENSORS_DTYPES, type SafetensorsDtype } from './safetensors-dtype.js';
import { parseHeaderLength, parseSafetensorsHeader, type SafetensorsHeader } from './safetensors-header.js';

export const testdata = join(import.meta.dirname, '../../../../testdata');

/** A directory that is removed after the test. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'qutlass-checkpoint-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

/** The bytes of a file with any header, valid or not. */
export function fileBytes(header: string | Uint8Array, dataLength = 0): Buffer {
  const json = Buffer.from(header);
  const bytes = Buffer.alloc(8 + json.length + dataLength);
  bytes.writeBigUInt64LE(BigInt(json.length));
  json.copy(bytes, 8);
  return bytes;
}

/** Parses a whole file in memory, as the reader does step by step. */
export function parseFile(bytes: Uint8Array, file = 'x.safetensors'): SafetensorsHeader {
  const length = parseHeaderLength(bytes.subarray(0, 8), bytes.length, file);
  return parseSafetensorsHeader(bytes.subarray(8, 8 + length), bytes.length - 8 - length, file);
}

/** Code and message of what `action` throws, which must be a QutlassError. */
export async function failure(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof QutlassError) return `${error.code} ${error.message}`;
    throw error;
  }
  throw new Error('expected a QutlassError, got none');
}

export interface ArbitraryTensor {
  name: string;
  dtype: SafetensorsDtype;
  shape: number[];
  data: Uint8Array;
}

const awkwardNames = [
  '__proto__',
  'constructor',
  'toString',
  '0',
  '17',
  '',
  ' ',
  '"',
  '\\',
  '\n',
  '\u0000',
  'é',
  '😀',
];

const arbitraryTensor: fc.Arbitrary<ArbitraryTensor> = fc
  .record({
    name: fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'binary' }),
      fc.constantFrom(...awkwardNames),
    ),
    dtype: fc.constantFrom(...(Object.keys(SAFETENSORS_DTYPES) as SafetensorsDtype[])),
    shape: fc.array(fc.nat(6), { maxLength: 4 }),
    seed: fc.uint8Array({ minLength: 1, maxLength: 64 }),
  })
  .map(({ name, dtype, shape, seed }) => {
    // Sub-byte elements come in whole bytes only.
    const extents = SAFETENSORS_DTYPES[dtype] < 8 ? [...shape, 4] : shape;
    const bits = extents.reduce((product, extent) => product * extent, SAFETENSORS_DTYPES[dtype]);
    const data = Uint8Array.from({ length: bits / 8 }, (_, i) => (seed[i % seed.length] as number) + i);
    return { name, dtype, shape: extents, data };
  });

/** Tensors with distinct names, of any dtype and shape, with their data. */
export const arbitraryTensors = fc.uniqueArray(
  arbitraryTensor.filter(({ name }) => name !== '__metadata__'),
  { selector: ({ name }) => name, maxLength: 12 },
);
