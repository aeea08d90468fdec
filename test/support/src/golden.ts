import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder of the golden vectors: QUTLASS_GOLDEN, or those of the repository. */
export const GOLDEN_FOLDER =
  process.env.QUTLASS_GOLDEN ?? join(import.meta.dirname, '..', '..', '..', 'testdata', 'golden');

/** One tensor of a golden file. */
export interface GoldenTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** The tensors of one golden file. The reader is independent of the one under test. */
export class Golden {
  readonly name: string;
  readonly #tensors = new Map<string, GoldenTensor>();

  constructor(file: string) {
    this.name = file.replace(/\.safetensors$/, '');
    const content = readFileSync(join(GOLDEN_FOLDER, file));
    const headerLength = Number(content.readBigUInt64LE(0));
    const header = JSON.parse(content.toString('utf8', 8, 8 + headerLength)) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >;
    for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
      if (name === '__metadata__') continue;
      const [begin, end] = offsets;
      // A copy is aligned, whatever the offset in the file.
      const bytes = new Uint8Array(content.subarray(8 + headerLength + begin, 8 + headerLength + end));
      this.#tensors.set(name, { dtype, shape, bytes });
    }
  }

  get names(): string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  get(name: string): GoldenTensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new Error(`${this.name} has no tensor ${name}`);
    return tensor;
  }

  bytes(name: string): Uint8Array {
    return this.get(name).bytes;
  }

  shape(name: string): readonly number[] {
    return this.get(name).shape;
  }

  /** F32 data. */
  floats(name: string): Float32Array<ArrayBuffer> {
    const { dtype, bytes } = this.get(name);
    if (dtype !== 'F32') throw new Error(`${this.name}: ${name} is ${dtype}, expected F32`);
    return new Float32Array(bytes.buffer as ArrayBuffer);
  }

  /** Integers of any width. */
  integers(name: string): number[] {
    const { dtype, bytes } = this.get(name);
    const { buffer } = bytes;
    switch (dtype) {
      case 'U8':
        return [...bytes];
      case 'I8':
        return [...new Int8Array(buffer)];
      case 'I32':
        return [...new Int32Array(buffer)];
      case 'U16':
        return [...new Uint16Array(buffer)];
      default:
        throw new Error(`${this.name}: ${name} is ${dtype}, expected integers`);
    }
  }

  /** The quantizers that the file has vectors of: the names before the first dot. */
  quantizers(part: string): string[] {
    const suffix = `.${part}`;
    return this.names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
  }
}

/** The golden files whose names begin so, for example `gemm_`. */
export function goldenFiles(prefix: string): Golden[] {
  const files = readdirSync(GOLDEN_FOLDER).filter(
    (file) => file.startsWith(prefix) && file.endsWith('.safetensors'),
  );
  if (files.length === 0) throw new Error(`${GOLDEN_FOLDER}: no files ${prefix}*.safetensors`);
  return files.sort().map((file) => new Golden(file));
}
