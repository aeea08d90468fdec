import { embedding, type FloatDType, scope, Tensor, transpose } from '@qutlass/core-kernels';
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

/** Operands and scales of a block-scaled product; alpha holds the global scales. */
export type BlockScaledProduct<C extends CodeDType> = (
  a: Tensor<C>,
  b: Tensor<C>,
  aSf: BlockedScales,
  bSf: BlockedScales,
  alpha?: number | Tensor<'f32'>,
) => Tensor<'bf16'>;

/** QuTLASS `matmul_mxf4_bf16_tn`: a [M, K/2], b [N, K/2] of e2m1 codes under e8m0 scales. */
export const matmulMxf4Bf16Tn: BlockScaledProduct<'u8'> = (...operands) => blockScaled(mxfp4(), ...operands);

/** QuTLASS `matmul_nvf4_bf16_tn`: a [M, K/2], b [N, K/2] of e2m1 codes under e4m3 scales. */
export const matmulNvf4Bf16Tn: BlockScaledProduct<'u8'> = (...operands) => blockScaled(nvfp4(), ...operands);

/** QuTLASS `matmul_mxf8_bf16_tn`: a [M, K], b [N, K] of e4m3 codes under e8m0 scales. */
export const matmulMxf8Bf16Tn: BlockScaledProduct<'f8e4m3'> = (...operands) =>
  blockScaled(mxfp8(), ...operands);

/** QuTLASS `matmul_mxf8_bf16_nn`: as {@link matmulMxf8Bf16Tn}, but a is stored as [K, M]; its scales are those of [M, K]. */
export const matmulMxf8Bf16Nn: BlockScaledProduct<'f8e4m3'> = (a, ...operands) => {
  using rows = transpose(a);
  return blockScaled(mxfp8(), rows, ...operands);
};

/** IntLASS `matmul_int4_bf16_tn`: a [M, K/2], b [N, K/2] of int4 codes; scales of one value or one per row. */
export function matmulInt4Bf16Tn(
  a: Tensor<'u8'>,
  b: Tensor<'u8'>,
  aScale: Tensor<FloatDType>,
  bScale: Tensor<FloatDType>,
): Tensor<'bf16'> {
  return rowScaled(int4({ group: 'row' }), a, b, aScale, bScale);
}

/** IntLASS `matmul_int8_bf16_tn`: a [M, K], b [N, K] of int8; scales of one value or one per row. */
export function matmulInt8Bf16Tn(
  a: Tensor<'i8'>,
  b: Tensor<'i8'>,
  aScale: Tensor<FloatDType>,
  bScale: Tensor<FloatDType>,
): Tensor<'bf16'> {
  return rowScaled(int8(), a, b, aScale, bScale);
}

function blockScaled(
  format: Format,
  a: Tensor<CodeDType>,
  b: Tensor<CodeDType>,
  aSf: BlockedScales,
  bSf: BlockedScales,
  alpha: number | Tensor<'f32'> = 1,
): Tensor<'bf16'> {
  return scope(() => {
    const operand = (codes: Tensor<CodeDType>, scales: BlockedScales) =>
      borrow(format, codes, {
        scales: scales.share() as BlockedScales,
        scaleLayout: 'blocked128x4',
        // The caller's alpha stands for the global scales.
        globalScale:
          format.rule === 'nv' ? Tensor.from([1], { shape: [1], device: codes.device }) : undefined,
      });
    return matmul(operand(a, aSf), operand(b, bSf), { alpha, outDType: 'bf16' });
  });
}

function rowScaled(
  format: Format,
  a: Tensor<CodeDType>,
  b: Tensor<CodeDType>,
  aScale: Tensor<FloatDType>,
  bScale: Tensor<FloatDType>,
): Tensor<'bf16'> {
  return scope(() => {
    const operand = (codes: Tensor<CodeDType>, scale: Tensor<FloatDType>) =>
      borrow(format, codes, { scales: perRow(scale, codes.shape[0] ?? 1), scaleLayout: 'row' });
    return matmul(operand(a, aScale), operand(b, bScale), { outDType: 'bf16' });
  });
}

/** Scales [rows, 1]; a single value counts for all rows. For use in a scope. */
function perRow(scale: Tensor<FloatDType>, rows: number): RowScales {
  const column = scale.to('f32').reshape([scale.size, 1]);
  if (scale.size !== 1) return rowScales(column);
  const first = Tensor.zeros([rows], 'i32', scale.device);
  return rowScales(embedding(first, column, 'f32'));
}

/** A quantized matrix over codes that stay the caller's. For use in a scope. */
function borrow(
  format: Format,
  codes: Tensor<CodeDType>,
  parts: Pick<QuantizedParts, 'scales' | 'scaleLayout' | 'globalScale'>,
): QuantizedTensor {
  const [rows = 0, cols = 0] = codes.shape;
  const perByte = ELEMENTS[format.element].bits === 4 ? 2 : 1;
  return new QuantizedTensor(format, { rows, cols: cols * perByte, codes: codes.share(), ...parts });
}
