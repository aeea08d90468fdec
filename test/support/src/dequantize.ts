import { bf16Value } from './bf16.js';
import { decodeElement, decodeElements, ELEMENT_BITS, type ReferenceElement } from './elements.js';
import { type ReferenceFormat, scaleExtent } from './format.js';
import { f16Value } from './half.js';

/** A quantized matrix as it lies in memory, scales in row layout. */
export interface ReferenceQuantized {
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
  readonly zeroPoints?: Uint8Array | undefined;
  readonly globalScale?: number | undefined;
}

/** The values that the codes stand for, in float64: (decode(code) - zero point) * scale / global scale. */
export function referenceDequantize(
  q: ReferenceQuantized,
  rows: number,
  cols: number,
  format: ReferenceFormat,
): Float64Array {
  const { height, width, scaleCols } = scaleExtent(format, rows, cols);
  const element = format.element as ReferenceElement;
  const codes = ELEMENT_BITS[element] === 4 ? unpack(q.codes) : q.codes;
  const values = decodeElements(element);
  const scales = scaleValues(format, q.scales);
  const zeros = q.zeroPoints && (element === 'int8' ? new Int8Array(q.zeroPoints) : q.zeroPoints);
  return Float64Array.from(codes, (code, i) => {
    const group = Math.floor(Math.floor(i / cols) / height) * scaleCols + Math.floor((i % cols) / width);
    const value = (values[code] as number) - (zeros?.[group] ?? 0);
    return (value * (scales[group] as number)) / (q.globalScale ?? 1);
  });
}

/** Codes of 4 bits, the even one in the low half of a byte. */
function unpack(packed: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: packed.length * 2 }, (_, i) =>
    i % 2 === 0 ? (packed[i >> 1] as number) % 16 : (packed[i >> 1] as number) >> 4,
  );
}

/** The values of scales from their bytes. */
function scaleValues({ scaleDType }: ReferenceFormat, bytes: Uint8Array): Float64Array {
  const { buffer } = Uint8Array.from(bytes);
  switch (scaleDType) {
    case 'f8e8m0':
      return Float64Array.from(bytes, (byte) => decodeElement('e8m0', byte));
    case 'f8e4m3':
      return Float64Array.from(bytes, (byte) => decodeElement('e4m3', byte));
    case 'f32':
      return Float64Array.from(new Float32Array(buffer));
    case 'bf16':
      return Float64Array.from(new Uint16Array(buffer), bf16Value);
    case 'f16':
      return Float64Array.from(new Uint16Array(buffer), f16Value);
  }
}
