import { type FloatDType, invalidArgument, rmsNorm, shapeText, type Tensor } from '@qutlass/core-kernels';
import { rmsNormQuantize } from '@qutlass/quant';
import { Deferred } from './deferred.js';
import { Module } from './module.js';

/** Root mean square normalization: x * rsqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019). */
export class RMSNorm extends Module {
  /** Added to the mean square. Captured graphs keep the value that they were captured with. */
  eps: number;

  /** Takes over weight [features]. */
  constructor(weight: Tensor<FloatDType>, eps: number) {
    if (weight.rank !== 1)
      throw invalidArgument('QUTLASS_E_SHAPE', 'weight', 'a vector', shapeText(weight.shape));
    super();
    this.eps = eps;
    this.addParameter('weight', weight);
  }

  get weight(): Tensor<FloatDType> {
    return this.parameter('weight') as Tensor<FloatDType>;
  }

  /** x [M, features], normalized. With `residual`: normalizes x + residual, and writes that sum into residual. */
  forward<D extends FloatDType>(x: Tensor<D>, residual?: Tensor<D>): Tensor<D> {
    return rmsNorm(x, this.weight, this.eps, residual);
  }

  /** As {@link forward}, for a layer that may quantize it. */
  defer<D extends FloatDType>(x: Tensor<D>, residual?: Tensor<D>): Deferred<D> {
    const { weight, eps } = this;
    return new Deferred(x, {
      dense: () => rmsNorm(x, weight, eps, residual),
      quantized: (format, options) => rmsNormQuantize(x, weight, eps, format, { ...options, residual }),
    });
  }
}
