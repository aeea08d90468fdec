import { add, type FloatDType, pad, type Tensor } from '@qutlass/core-kernels';
import { matmul } from '@qutlass/gemm';
import { nvfp4, paddedCols, quantize } from '@qutlass/quant';
import { QuantLinear } from './modules/quant-linear.js';

// The names that users of the DGX Spark FP4 kernel know (fp4-cuda-kernel), over QuantLinear: weights and activations in
// NVFP4, results in the dtype of the activations. M, N and K need not be multiples of anything.

/** A weight quantized once for many products; `using` or `dispose()` frees it. */
export type Fp4WeightCache = QuantLinear;
export const Fp4WeightCache = QuantLinear;

/** `fp4_quantize`: quantizes weight [N, K] and copies bias [N]; both stay the caller's. */
export function fp4Quantize(weight: Tensor<FloatDType>, bias?: Tensor<FloatDType>): Fp4WeightCache {
  const copy = bias?.clone();
  try {
    return QuantLinear.from(weight, { format: nvfp4(), activations: nvfp4(), ...(copy && { bias: copy }) });
  } catch (error) {
    copy?.dispose();
    throw error;
  }
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
  alpha?: number;
  beta?: number;
}

/** `fp4_matmul`: alpha * a b^T + beta * c for a [M, K] and b [N, K]. */
export function fp4Matmul<D extends FloatDType>(
  a: Tensor<D>,
  b: Tensor<FloatDType>,
  { c, alpha = 1, beta = c ? 1 : 0 }: Fp4MatmulOptions = {},
): Tensor<D> {
  const [rows = 0, cols = 0] = a.shape;
  const padded = paddedCols(nvfp4(), cols);
  using wideA = padded === cols ? a.share() : pad(a, rows, padded);
  using wideB = padded === cols ? b.share() : pad(b, b.shape[0] ?? 0, padded);
  using qa = quantize(wideA, nvfp4());
  using qb = quantize(wideB, nvfp4());
  using product = matmul(qa, qb, { alpha, outDType: a.dtype });
  return c && beta !== 0 ? add(product, c, beta) : product.share();
}
