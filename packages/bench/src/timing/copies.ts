import { readFileSync } from 'node:fs';
import { type Device, Resource } from '@qutlass/core-kernels';

/** Bytes assumed where nothing says how large the last cache is. */
const DEFAULT_CACHE_BYTES = 32 * 2 ** 20;

/** Copies together are larger than the last cache by this factor. */
const CACHE_FACTOR = 3;

/**
 * Copies at least. Which physical pages a copy gets decides on its time on a CPU by 10 % and more, and stays the same for
 * the whole process; several copies even that out.
 */
const LEAST_COPIES = { cpu: 6, cuda: 2 } as const;

/** Where operands are found: the same memory in every call, or copies in turn. */
export type CacheState = 'hot' | 'cold';

/** The size of the last-level cache that one processor sees. */
export function cacheBytesOf(device: Device): number {
  return (device.kind === 'cpu' ? cpuCacheBytes() : device.info.cacheBytes) || DEFAULT_CACHE_BYTES;
}

/** As the kernel says; what the C library sums up over all sockets and dies is many times what a core can use. */
function cpuCacheBytes(): number | undefined {
  try {
    const text = readFileSync('/sys/devices/system/cpu/cpu0/cache/index3/size', 'utf8');
    const [, number, unit] = /^(\d+)([KM])/.exec(text) ?? [];
    return Number(number) * (unit === 'M' ? 2 ** 20 : 2 ** 10);
  } catch {
    return undefined;
  }
}

/** Something that calls read. */
export type Copied = Resource & { readonly byteLength: number };

/** Equal operands in memory of their own each, far larger than the cache together: in turn, none is still in it. */
export class Copies<T extends Copied> extends Resource {
  readonly #copies: readonly T[];
  readonly #fitsCache: boolean;

  private constructor(copies: readonly T[], fitsCache: boolean) {
    super();
    this.#copies = copies;
    this.#fitsCache = fitsCache;
  }

  /**
   * As many as are needed, all made by `create`.
   * @param share of a copy that a call reads at least
   */
  static make<T extends Copied>(device: Device, create: () => T, share = 1): Copies<T> {
    const cacheBytes = cacheBytesOf(device);
    const copies = [create()];
    const bytes = copies[0]!.byteLength * share;
    const count = Math.max(LEAST_COPIES[device.kind], Math.ceil((CACHE_FACTOR * cacheBytes) / bytes) + 1);
    try {
      while (copies.length < count) copies.push(create());
    } catch (error) {
      for (const copy of copies) copy.dispose();
      throw error;
    }
    return new Copies(copies, bytes <= cacheBytes);
  }

  /** Of one copy. */
  get bytesEach(): number {
    return this.#copies[0]!.byteLength;
  }

  /** Calls after which {@link at} gives the same copy again. */
  period(cache: CacheState): number {
    return this.#stays(cache) ? 1 : this.#copies.length;
  }

  /** The copy of a call: always the first for `hot`, if the cache can hold it at all; else the next. */
  at(cache: CacheState, index: number): T {
    return this.#copies[this.#stays(cache) ? 0 : index % this.#copies.length]!;
  }

  #stays(cache: CacheState): boolean {
    return cache === 'hot' && this.#fitsCache;
  }

  protected release(): void {
    for (const copy of this.#copies) copy.dispose();
  }
}
