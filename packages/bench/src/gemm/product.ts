import { type FloatDType, Tensor } from '@qutlass/core-kernels';
import { type Explanation, explain, matmul, type PreparedWeight, prepare } from '@qutlass/gemm';
import { type Format, QuantizedTensor, quantize } from '@qutlass/quant';

/** A that is timed. */
export type BenchActivations = Tensor<FloatDType> | QuantizedTensor;

/** B that is timed. */
export type BenchWeight = Tensor<FloatDType> | PreparedWeight;

/** Activations of a kind, from dense values, which stay the caller's. */
export function makeActivations(dense: Tensor<FloatDType>, kind: FloatDType | Format): BenchActivations {
  return typeof kind === 'string' ? dense.to(kind) : quantize(dense, kind);
}

/** A weight of a kind, ready for the kernels, from a dense matrix [N, K], which stays the caller's. */
export function makeWeight(dense: Tensor<FloatDType>, kind: FloatDType | Format): BenchWeight {
  if (typeof kind === 'string') return dense.to(kind);
  using quantized = quantize(dense, kind);
  return prepare(quantized);
}

/** Enqueues the product and frees the result at once. */
export function enqueueProduct(
  a: BenchActivations,
  weight: BenchWeight,
  outDType: FloatDType,
  kernel?: string,
): void {
  const options = { outDType, ...(kernel !== undefined && { kernel }) };
  const out =
    a instanceof QuantizedTensor ? matmul(a, weight as PreparedWeight, options) : matmul(a, weight, options);
  out.dispose();
}

export function explainProduct(a: BenchActivations, weight: BenchWeight, outDType: FloatDType): Explanation {
  const options = { outDType };
  return a instanceof Tensor ? explain(a, weight, options) : explain(a, weight as PreparedWeight, options);
}

/** The dense kernels that others are compared with, the first that runs: the vendor's library, then our own. */
const BASELINES = ['cublaslt.bf16', 'cuda.f32.mma'];

/** The kernel of the baseline for dense operands. */
export function baselineKernel(a: BenchActivations, weight: BenchWeight, outDType: FloatDType): string {
  const { candidates, chosen } = explainProduct(a, weight, outDType);
  const able = candidates.filter(({ refusal }) => refusal === undefined).map(({ kernel }) => kernel.name);
  return BASELINES.find((name) => able.includes(name)) ?? chosen ?? able[0]!;
}
