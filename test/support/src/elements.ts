// The elements by their definition: the value of every code from its fields.

export type ReferenceElement =
  | 'e2m1'
  | 'e2m3'
  | 'e3m2'
  | 'e4m3'
  | 'e5m2'
  | 'e8m0'
  | 'int8'
  | 'int4'
  | 'uint4'
  | 'nf4';

interface Minifloat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  /** The largest finite magnitude code. */
  readonly top: number;
}

const MINIFLOATS: Readonly<Record<string, Minifloat>> = {
  e2m1: { exponentBits: 2, mantissaBits: 1, top: 0b111 },
  e2m3: { exponentBits: 2, mantissaBits: 3, top: 0b11111 },
  e3m2: { exponentBits: 3, mantissaBits: 2, top: 0b11111 },
  e4m3: { exponentBits: 4, mantissaBits: 3, top: 0x7e },
  e5m2: { exponentBits: 5, mantissaBits: 2, top: 0x7b },
};

/** QLoRA (Dettmers et al. 2023), appendix E. */
const NF4 = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
];

/** The largest code that is not negative. */
const INTEGERS: Readonly<Record<string, number>> = { int8: 127, int4: 7, uint4: 15 };

/** Bits of a code in memory. */
export const ELEMENT_BITS: Readonly<Record<ReferenceElement, 4 | 8>> = {
  e2m1: 4,
  e2m3: 8,
  e3m2: 8,
  e4m3: 8,
  e5m2: 8,
  e8m0: 8,
  int8: 8,
  int4: 4,
  uint4: 4,
  nf4: 4,
};

/** Number of codes. */
function codeCount(element: ReferenceElement): number {
  const minifloat = MINIFLOATS[element];
  if (minifloat) return 2 ** (1 + minifloat.exponentBits + minifloat.mantissaBits);
  return element === 'int8' || element === 'e8m0' ? 256 : 16;
}

/** The value of a code; bits above the element's do not count. */
export function decodeElement(element: ReferenceElement, byte: number): number {
  const code = byte % codeCount(element);
  if (element === 'e8m0') return code === 255 ? Number.NaN : 2 ** (code - 127);
  if (element === 'nf4') return NF4[code] as number;
  const largest = INTEGERS[element];
  if (largest !== undefined) return code > largest ? code - codeCount(element) : code;
  const { exponentBits, mantissaBits, top } = MINIFLOATS[element] as Minifloat;
  const half = codeCount(element) / 2;
  const magnitude = code % half;
  const sign = code >= half ? -1 : 1;
  if (magnitude > top) return element === 'e5m2' && magnitude === top + 1 ? sign * Infinity : Number.NaN;
  const exponent = Math.floor(magnitude / 2 ** mantissaBits);
  const fraction = magnitude % 2 ** mantissaBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  const significand = exponent === 0 ? fraction : fraction + 2 ** mantissaBits;
  return sign * significand * 2 ** (Math.max(exponent, 1) - bias - mantissaBits);
}

const tables = new Map<ReferenceElement, Float64Array>();

/** The values of all byte codes. */
export function decodeElements(element: ReferenceElement): Float64Array {
  let table = tables.get(element);
  if (!table) {
    table = Float64Array.from({ length: 256 }, (_, code) => decodeElement(element, code));
    tables.set(element, table);
  }
  return table;
}
