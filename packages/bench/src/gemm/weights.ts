import { readFile } from 'node:fs/promises';
import { type FloatDType, Resource, type Tensor } from '@qutlass/core-kernels';
import { type PreparedWeight, prepare } from '@qutlass/gemm';
import { type Format, quantize } from '@qutlass/quant';

export type BenchWeight = Tensor<FloatDType> | PreparedWeight;

/** Bytes assumed where the system does not say how large its last cache is. */
const DEFAULT_CACHE_BYTES = 32 * 2 ** 20;

/**
 * Copies at least. Which physical pages a copy gets decides on its time by 10 % and more, and stays the same for the whole
 * process; several copies even that out.
 */
const LEAST_COPIES = 6;

/** The size of the last-level cache. */
export async function lastLevelCacheBytes(): Promise<number> {
  const text = await readFile('/sys/devices/system/cpu/cpu0/cache/index3/size', 'utf8').catch(() => '');
  const [, number, unit] = /^(\d+)([KM])/.exec(text) ?? [];
  if (number === undefined) return DEFAULT_CACHE_BYTES;
  return Number(number) * (unit === 'M' ? 2 ** 20 : 2 ** 10);
}

/** Equal weights in memory of their own each, larger than twice the cache together: in turn, none is still in it. */
export class WeightCopies extends Resource {
  readonly copies: readonly BenchWeight[];
  readonly #fitsCache: boolean;

  private constructor(copies: readonly BenchWeight[], fitsCache: boolean) {
    super();
    this.copies = copies;
    this.#fitsCache = fitsCache;
  }

  /** From a dense matrix [N, K], which stays the caller's. */
  static make(source: Tensor<'f32'>, kind: FloatDType | Format, cacheBytes: number): WeightCopies {
    const copies = [convert(source, kind)];
    const count = Math.max(LEAST_COPIES, Math.ceil((2 * cacheBytes) / copies[0]!.byteLength) + 1);
    while (copies.length < count) copies.push(convert(source, kind));
    return new WeightCopies(copies, copies[0]!.byteLength <= cacheBytes);
  }

  get bytesEach(): number {
    return this.copies[0]!.byteLength;
  }

  /** The copy of a call: always the first for `hot`, if the cache can hold it at all; else the next. */
  at(cache: 'hot' | 'cold', index: number): BenchWeight {
    return this.copies[cache === 'hot' && this.#fitsCache ? 0 : index % this.copies.length]!;
  }

  protected release(): void {
    for (const copy of this.copies) copy.dispose();
  }
}

function convert(source: Tensor<'f32'>, kind: FloatDType | Format): BenchWeight {
  if (typeof kind === 'string') return source.to(kind);
  using quantized = quantize(source, kind);
  return prepare(quantized);
}
