import type { FloatDType, Tensor } from '@qutlass/core-kernels';
import type { Format, FormatKind, QuantizedTensor } from '@qutlass/quant';
import type { PreparedWeight } from './prepare.js';

/** For each format of A, the formats of B that it multiplies with; the other pairs do not compile. */
export interface FormatPairs {
  mxfp4: 'mxfp4' | 'mxfp8';
  mxfp8: 'mxfp8' | 'mxfp4';
  nvfp4: 'nvfp4';
  fp8: 'fp8';
  int8: 'int8' | 'int4';
  int4: 'int4' | 'int8';
  /** For weights only. */
  nf4: never;
}

/** The formats that multiply with a quantized A of format kind K; any, checked at run time, while K is not known. */
export type PartnerOf<K extends FormatKind> = FormatKind extends K ? Format : Format<FormatPairs[K]>;

/** A quantized B [N, K], prepared or not. */
export type Weight<F extends Format = Format> = QuantizedTensor<F> | PreparedWeight<F>;

/** Anything that {@link matmul} takes as A: 16-bit or float32 activations, or quantized ones. */
export type OperandA = Tensor<FloatDType> | QuantizedTensor;

/** Anything that {@link matmul} takes as B. */
export type OperandB = Tensor<FloatDType> | Weight;

/** The pairs that exist, at run time. */
export const FORMAT_PAIRS: { readonly [K in FormatKind]: readonly FormatPairs[K][] } = {
  mxfp4: ['mxfp4', 'mxfp8'],
  mxfp8: ['mxfp8', 'mxfp4'],
  nvfp4: ['nvfp4'],
  fp8: ['fp8'],
  int8: ['int8', 'int4'],
  int4: ['int4', 'int8'],
  nf4: [],
};
