/** What arithmetic units multiply. Sums are float32, or int32 for the integers. */
export type Precision = 'f32' | 'f16' | 'bf16' | 'fp8' | 'int8' | 'int4' | 'fp4';

/** Operations per second or clock, of those precisions that there are units for; structured sparsity is not counted. */
export type Rates = Readonly<Partial<Record<Precision, number>>>;

/** `sm_<capability>` of a GPU; `x64` for the CPU. */
export type Architecture =
  | 'x64'
  | 'sm_75'
  | 'sm_80'
  | 'sm_86'
  | 'sm_89'
  | 'sm_90'
  | 'sm_100'
  | 'sm_103'
  | 'sm_120'
  | 'sm_121';

const AMPERE_SMALL: Rates = { f32: 256, f16: 1024, bf16: 1024, int8: 2048, int4: 4096 };
const HOPPER: Rates = { f32: 256, f16: 4096, bf16: 4096, fp8: 8192, int8: 8192 };
const BLACKWELL_RTX: Rates = { f32: 256, f16: 1024, bf16: 1024, fp8: 2048, int8: 2048, fp4: 4096 };

/**
 * Dense operations, two per multiply-add, per clock and multiprocessor (CPU: thread). From the architecture whitepapers of
 * NVIDIA: peak rate / (multiprocessors x boost clock). sm_121 is taken for sm_120; its rates are not published.
 */
export const RATES: Readonly<Record<Architecture, Rates>> = {
  // Two 256-bit units per core: 8 fused multiply-adds of float32 each, 16 of bf16 where there are any (vdpbf16ps), or 32 of
  // bytes (vpmaddubsw).
  x64: { f32: 32, bf16: 64, int8: 128 },
  sm_75: { f32: 128, f16: 1024, int8: 2048, int4: 4096 },
  sm_80: { f32: 128, f16: 2048, bf16: 2048, int8: 4096, int4: 8192 },
  sm_86: AMPERE_SMALL,
  sm_89: { ...AMPERE_SMALL, fp8: 2048 },
  sm_90: HOPPER,
  sm_100: { f32: 256, f16: 8192, bf16: 8192, fp8: 16384, int8: 16384, fp4: 32768 },
  // Blackwell Ultra gave up integer units for 4-bit ones.
  sm_103: { f32: 256, f16: 8192, bf16: 8192, fp8: 16384, int8: 512, fp4: 49152 },
  sm_120: BLACKWELL_RTX,
  sm_121: BLACKWELL_RTX,
};

/** In the order of compute capability, the CPU first. */
export const ARCHITECTURES = Object.keys(RATES) as readonly Architecture[];

/**
 * GeForce cards run these at half rate when the sums are float32. Block-scaled fp8, of sm_120, is not among them
 * (NVIDIA RTX Blackwell GPU Architecture, table of GeForce RTX 5090).
 */
const HALVED_ON_GEFORCE: Readonly<Partial<Record<Architecture, readonly Precision[]>>> = {
  sm_86: ['f16', 'bf16'],
  sm_89: ['f16', 'bf16', 'fp8'],
  sm_120: ['f16', 'bf16'],
};

/** Operations per clock and multiprocessor of a GPU with this product name. */
export function ratesOf(architecture: Architecture, productName: string): Rates {
  const rates = RATES[architecture];
  const halved = /GeForce/.test(productName) ? (HALVED_ON_GEFORCE[architecture] ?? []) : [];
  return { ...rates, ...Object.fromEntries(halved.map((precision) => [precision, rates[precision]! / 2])) };
}

/**
 * The architecture of a device's instruction set, `sm_90` and the like for GPUs. One that is not listed is taken for the
 * newest that is not newer.
 */
export function architectureOf(isa: string): Architecture {
  const capability = (name: string) => Number(/^sm_(\d+)/.exec(name)?.[1] ?? 0);
  const own = capability(isa);
  if (own === 0) return 'x64';
  return ARCHITECTURES.findLast((known) => known !== 'x64' && capability(known) <= own) ?? 'sm_75';
}
