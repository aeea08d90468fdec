import { invalidArgument, produce, type Tensor } from '@qutlass/core-kernels';
import type { ScaleDType } from './format.js';

/**
 * `row`: [rows, groups], row-major. `blocked128x4`: tiles of 128 rows x 4 groups, as the block-scaled tensor cores of
 * Blackwell read them (the layout of cuBLAS and CUTLASS).
 */
export type ScaleLayout = 'row' | 'blocked128x4';

/** @internal The numbers of `qutlass_scale_layout`. */
export const SCALE_LAYOUTS = { row: 0, blocked128x4: 1 } as const;

declare const layout: unique symbol;

/** The scales of a quantized matrix; the type knows their layout, so that one cannot be passed for the other. */
export type Scales<L extends ScaleLayout = ScaleLayout> = Tensor<ScaleDType> & { readonly [layout]: L };
export type RowScales = Scales<'row'>;
export type BlockedScales = Scales<'blocked128x4'>;

/** Declares a matrix [rows, groups] to be scales in row layout. */
export function rowScales(scales: Tensor<ScaleDType>): RowScales {
  if (scales.rank !== 2) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'scales', 'a matrix [rows, groups]', `rank ${scales.rank}`);
  }
  return scales as RowScales;
}

/** Declares a vector of ceil(rows / 128) * ceil(groups / 4) * 512 bytes to be scales in blocked layout. */
export function blockedScales(scales: Tensor<'f8e8m0' | 'f8e4m3'>): BlockedScales {
  if (scales.size % 512 !== 0) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'scales', 'a multiple of 512 bytes', `${scales.size}`);
  }
  return scales as Tensor<ScaleDType> as BlockedScales;
}

/** Bytes of the blocked layout of [rows, groups] scales. */
export function blockedSize(rows: number, groups: number): number {
  return Math.ceil(rows / 128) * Math.ceil(groups / 4) * 512;
}

/** Scale bytes [rows, groups] in the 128x4 blocked layout; the padding is zero. */
export function toBlocked(scales: RowScales): BlockedScales {
  const [rows = 0, groups = 0] = scales.shape;
  return produce([blockedSize(rows, groups)], scales.dtype, scales.device, (native, stream, out) =>
    native.scalesToBlocked(stream, scales.handle, out),
  ) as BlockedScales;
}

/** The inverse of {@link toBlocked} for [rows, groups] scales. */
export function fromBlocked(scales: BlockedScales, rows: number, groups: number): RowScales {
  return produce([rows, groups], scales.dtype, scales.device, (native, stream, out) =>
    native.scalesFromBlocked(stream, scales.handle, out),
  ) as RowScales;
}
