// Number formats and what turns tensors into them: quantizers, rotations, scale layouts, packing. Devices and tensors of
// @qutlass/core-kernels are exported here too, so one import is enough.

export * from '@qutlass/core-kernels';
export { decode, encode } from './codec.js';
export {
  type FusedQuantizeMxOptions,
  fusedQuantizeMx,
  fusedQuantizeNv,
  packInt4,
  quantizeInt8,
} from './compat.js';
export { ELEMENTS, type Element } from './element.js';
export {
  bitsPerElement,
  FORMATS,
  type Format,
  type FormatKind,
  type Fp8,
  type Fp8Options,
  formatByName,
  fp8,
  hasGlobalScale,
  type Int4,
  type Int4Options,
  type Int8,
  type Int8Options,
  int4,
  int8,
  type MxFp4,
  type MxFp4Options,
  type MxFp8,
  type MxFp8Options,
  mxfp4,
  mxfp8,
  type Nf4,
  type Nf4Options,
  type NvFp4,
  type NvFp4Options,
  nativeFormat,
  nf4,
  nvfp4,
  paddedCols,
  RULES,
  type Rule,
  type ScaleDType,
  scaleShape,
} from './format.js';
export type { FusedQuantizeOptions, QuantizeOptions } from './new-quantized.js';
export { pack4, unpack4 } from './pack.js';
export { type CodeDType, codeDType } from './parts.js';
export {
  type DequantizeOptions,
  dequantize,
  globalScale,
  quantize,
  quantizeTransposed,
  type RmsNormQuantizeOptions,
  rmsNormQuantize,
  siluMulQuantize,
} from './quantize.js';
export { type QuantizedParts, QuantizedTensor } from './quantized-tensor.js';
export {
  type HadamardOptions,
  hadamard,
  identity,
  Rotation,
  type RotationJSON,
  rotate,
  rotation,
  rotationFromJSON,
} from './rotation.js';
export { type Rounding, type StochasticOptions, stochastic } from './rounding.js';
export {
  type BlockedScales,
  blockedScales,
  fromBlocked,
  type RowScales,
  rowScales,
  type ScaleLayout,
  type Scales,
  toBlocked,
} from './scales.js';
export { QuantizedSquares, quantizeSquares, type SquaresOptions } from './squares.js';
