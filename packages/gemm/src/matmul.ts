import { type FloatDType, Tensor } from '@qutlass/core-kernels';
import type { Format, FormatKind, QuantizedTensor } from '@qutlass/quant';
import { chooseKernel } from './choose.js';
import type { OperandA, OperandB, PartnerOf, Weight } from './pairs.js';
import { type MatmulOptions, Problem, type ProblemOptions, type QuantizingOptions } from './problem.js';

/**
 * out[.., N] = alpha * A[.., K] B[N, K]^T + bias[N], rounded once. Returns at once; the kernel runs on the current stream.
 *
 * - dense A, dense B
 * - dense A, B quantized in any format (weight-only). If B is rotated, A is rotated on the way in.
 * - quantized A and B of formats that multiply with each other ({@link FormatPairs}), rotated alike
 * - dense A that is quantized on the way in (`activations`), B quantized in a format that multiplies with that
 *
 * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DTYPE`, `QUTLASS_E_FORMAT`, `QUTLASS_E_UNSUPPORTED`
 */
export function matmul<A extends FloatDType, D extends FloatDType = A>(
  a: Tensor<A>,
  b: Tensor<FloatDType> | Weight,
  options?: MatmulOptions<D> & { activations?: never },
): Tensor<D>;
export function matmul<K extends FormatKind, A extends FloatDType, D extends FloatDType = A>(
  a: Tensor<A>,
  b: Weight<PartnerOf<K>>,
  options: QuantizingOptions<D, K>,
): Tensor<D>;
export function matmul<K extends FormatKind, D extends FloatDType = 'bf16'>(
  a: QuantizedTensor<Format<K>>,
  b: Weight<PartnerOf<K>>,
  options?: MatmulOptions<D>,
): Tensor<D>;
export function matmul(a: OperandA, b: OperandB, options: ProblemOptions = {}): Tensor<FloatDType> {
  const problem = new Problem(a, b, options);
  const out = Tensor.empty(problem.outShape, problem.outDType, a.device);
  try {
    problem.run(chooseKernel(problem, out, options.kernel), out);
    return out;
  } catch (error) {
    out.dispose();
    throw error;
  }
}
