import {
  add,
  type FloatDType,
  invalidArgument,
  pad,
  scope,
  shapeText,
  type Tensor,
} from '@qutlass/core-kernels';
import { matmul } from '@qutlass/gemm';
import { type NvFp4, nvfp4, paddedCols, type QuantizedTensor, quantize } from '@qutlass/quant';
import { QuantLinear } from './modules/quant-linear.js';

// The names that users of the DGX Spark FP4 kernel know (fp4-cuda-kernel), over QuantLinear: weights and activations in
// NVFP4, results in the dtype of the activations. M, N and K need not be multiples of anything.

/** A weight quantized once for many products; `using` or `dispose()` frees it. */
export type Fp4WeightCache = QuantLinear;
export const Fp4WeightCache = QuantLinear;

/** `fp4_quantize`: quantizes weight [N, K] and copies bias [N]; both stay the caller's. */
export function fp4Quantize(weight: Tensor<FloatDType>, bias?: Tensor<FloatDType>): Fp4WeightCache {
  return scope(() => {
    const options = { format: nvfp4(), activations: nvfp4() };
    return QuantLinear.from(weight, bias ? { ...options, bias: bias.clone() } : options);
  });
}

/** `fp4_cached_linear`: x [.., K] times a cached weight, plus its bias. */
export function fp4CachedLinear<D extends FloatDType>(x: Tensor<D>, cache: Fp4WeightCache): Tensor<D> {
  return cache.forward(x);
}

/** `fp4_linear`: as {@link fp4CachedLinear}, quantizing the weight on the way. */
export function fp4Linear<D extends FloatDType>(
  x: Tensor<D>,
  weight: Tensor<FloatDType>,
  bias?: Tensor<FloatDType>,
): Tensor<D> {
  using cache = fp4Quantize(weight, bias);
  return cache.forward(x);
}

export interface Fp4MatmulOptions {
  /** [M, N], added times `beta`. */
  c?: Tensor<FloatDType>;
  /** Default 1. */
  alpha?: number;
  /** Of `c`; default 1. */
  beta?: number;
}

/**
 * `fp4_matmul`: alpha * a b^T + beta * c for a [M, K] and b [N, K], rounded once to the dtype of a.
 * @throws QutlassError `QUTLASS_E_SHAPE`
 */
export function fp4Matmul<D extends FloatDType>(
  a: Tensor<D>,
  b: Tensor<FloatDType>,
  { c, alpha = 1, beta = 1 }: Fp4MatmulOptions = {},
): Tensor<D> {
  const [n, k] = requireMatrix('b', b);
  const [m] = requireMatrix('a', a, k);
  if (c && (c.rank !== 2 || c.shape[0] !== m || c.shape[1] !== n)) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'c', `shape [${m}, ${n}]`, shapeText(c.shape));
  }
  return scope(() => {
    const [qa, qb] = [quantizePadded(a), quantizePadded(b)];
    if (!c || beta === 0) return matmul(qa, qb, { alpha, outDType: a.dtype });
    return add(matmul(qa, qb, { alpha, outDType: 'f32' }), c, beta).to(a.dtype);
  });
}

function requireMatrix(name: string, x: Tensor, k?: number): readonly [rows: number, cols: number] {
  const [rows, cols] = x.shape;
  if (x.rank !== 2 || rows === undefined || cols === undefined || (k !== undefined && cols !== k)) {
    const expected = k === undefined ? 'a matrix [N, K]' : `shape [M, ${k}] as b`;
    throw invalidArgument('QUTLASS_E_SHAPE', name, expected, shapeText(x.shape));
  }
  return [rows, cols];
}

function quantizePadded(x: Tensor<FloatDType>): QuantizedTensor<NvFp4, 'row'> {
  const [rows = 0, cols = 0] = x.shape;
  const padded = paddedCols(nvfp4(), cols);
  return quantize(padded === cols ? x : pad(x, rows, padded), nvfp4());
}
