import { embedding, type FloatDType, Tensor, transpose } from '@qutlass/core-kernels';
import {
  type BlockedScales,
  type CodeDType,
  ELEMENTS,
  type Format,
  int4,
  int8,
  mxfp4,
  mxfp8,
  nvfp4,
  type QuantizedParts,
  QuantizedTensor,
  type RowScales,
  rowScales,
} from '@qutlass/quant';
import { matmul } from './matmul.js';

// The names that users of QuTLASS and of its Ampere fork know, over matmul(). Operands are borrowed, not taken over;
// scales are in the blocked layout of toBlocked(); out is bf16 [M, N] = alpha * A B^T.

type Codes = Tensor<'u8'>;
type Scale = Tensor<FloatDType>;

/** QuTLASS `matmul_mxf4_bf16_tn`: a [M, K/2], b [N, K/2] of e2m1 codes under e8m0 scales. */
export function matmulMxf4Bf16Tn(
  a: Codes,
  b: Codes,
  aSf: BlockedScales,
  bSf: BlockedScales,
  alpha: number | Tensor<'f32'> = 1,
): Tensor<'bf16'> {
  return blockScaled(mxfp4(), a, b, aSf, bSf, alpha);
}

/** QuTLASS `matmul_nvf4_bf16_tn`: a [M, K/2], b [N, K/2] of e2m1 codes under e4m3 scales; alpha holds the global scales. */
export function matmulNvf4Bf16Tn(
  a: Codes,
  b: Codes,
  aSf: BlockedScales,
  bSf: BlockedScales,
  alpha: number | Tensor<'f32'> = 1,
): Tensor<'bf16'> {
  return blockScaled(nvfp4(), a, b, aSf, bSf, alpha);
}

/** QuTLASS `matmul_mxf8_bf16_tn`: a [M, K], b [N, K] of e4m3 codes under e8m0 scales. */
export function matmulMxf8Bf16Tn(
  a: Tensor<'f8e4m3'>,
  b: Tensor<'f8e4m3'>,
  aSf: BlockedScales,
  bSf: BlockedScales,
  alpha: number | Tensor<'f32'> = 1,
): Tensor<'bf16'> {
  return blockScaled(mxfp8(), a, b, aSf, bSf, alpha);
}

/** QuTLASS `matmul_mxf8_bf16_nn`: as {@link matmulMxf8Bf16Tn}, but a is stored as [K, M]; its scales are those of [M, K]. */
export function matmulMxf8Bf16Nn(
  a: Tensor<'f8e4m3'>,
  b: Tensor<'f8e4m3'>,
  aSf: BlockedScales,
  bSf: BlockedScales,
  alpha: number | Tensor<'f32'> = 1,
): Tensor<'bf16'> {
  using rows = transpose(a);
  return blockScaled(mxfp8(), rows, b, aSf, bSf, alpha);
}

/** IntLASS `matmul_int4_bf16_tn`: a [M, K/2], b [N, K/2] of int4 codes; scales of one value or one per row. */
export function matmulInt4Bf16Tn(a: Codes, b: Codes, aScale: Scale, bScale: Scale): Tensor<'bf16'> {
  return rowScaled(int4({ group: 'row' }), a, b, aScale, bScale);
}

/** IntLASS `matmul_int8_bf16_tn`: a [M, K], b [N, K] of int8; scales of one value or one per row. */
export function matmulInt8Bf16Tn(
  a: Tensor<'i8'>,
  b: Tensor<'i8'>,
  aScale: Scale,
  bScale: Scale,
): Tensor<'bf16'> {
  return rowScaled(int8(), a, b, aScale, bScale);
}

function blockScaled(
  format: Format,
  a: Tensor<CodeDType>,
  b: Tensor<CodeDType>,
  aSf: BlockedScales,
  bSf: BlockedScales,
  alpha: number | Tensor<'f32'>,
): Tensor<'bf16'> {
  // The caller's alpha stands for the global scales.
  const one = () => (format.rule === 'nv' ? Tensor.from([1], { shape: [1], device: a.device }) : undefined);
  const operand = (codes: Tensor<CodeDType>, scales: BlockedScales) =>
    borrow(format, codes, {
      scales: scales.share() as BlockedScales,
      scaleLayout: 'blocked128x4',
      globalScale: one(),
    });
  using qa = operand(a, aSf);
  using qb = operand(b, bSf);
  return matmul(qa, qb, { alpha, outDType: 'bf16' });
}

function rowScaled(
  format: Format,
  a: Tensor<CodeDType>,
  b: Tensor<CodeDType>,
  aScale: Scale,
  bScale: Scale,
): Tensor<'bf16'> {
  const operand = (codes: Tensor<CodeDType>, scale: Scale) =>
    borrow(format, codes, { scales: perRow(scale, codes.shape[0] ?? 1), scaleLayout: 'row' });
  using qa = operand(a, aScale);
  using qb = operand(b, bScale);
  return matmul(qa, qb, { outDType: 'bf16' });
}

/** Scales [rows, 1]; a single value counts for all rows. */
function perRow(scale: Scale, rows: number): RowScales {
  using wide = scale.to('f32');
  using column = wide.reshape([scale.size, 1]);
  if (scale.size !== 1) return rowScales(column.share());
  using first = Tensor.zeros([rows], 'i32', scale.device);
  return rowScales(embedding(first, column, 'f32'));
}

/** A quantized matrix over codes that stay the caller's. */
function borrow(
  format: Format,
  codes: Tensor<CodeDType>,
  parts: Pick<QuantizedParts, 'scales' | 'scaleLayout' | 'globalScale'>,
): QuantizedTensor {
  const [rows = 0, cols = 0] = codes.shape;
  const perByte = ELEMENTS[format.element].bits === 4 ? 2 : 1;
  return new QuantizedTensor(format, { rows, cols: cols * perByte, codes: codes.share(), ...parts });
}
