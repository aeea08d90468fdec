import { type FloatDType, loadBinding, type MatmulProblem, scope, Tensor } from '@qutlass/core-kernels';
import type { Format, FormatKind, QuantizedTensor } from '@qutlass/quant';
import { chooseKernel } from './choose.js';
import type { OperandA, OperandB, PartnerOf, Weight } from './pairs.js';
import { type MatmulOptions, Problem, type ProblemOptions, type QuantizingOptions } from './problem.js';

/** A B of {@link matmulGroup}, with the bias of its product. */
export interface Factor<B extends OperandB = OperandB> extends Pick<MatmulOptions, 'bias'> {
  readonly b: B;
}

/** What the products of {@link matmulGroup} have in common. */
export type GroupOptions<D extends FloatDType = FloatDType> = Pick<MatmulOptions<D>, 'outDType' | 'accuracy'>;

/**
 * The products of one A with several B, each as {@link matmul} gives it. Those for which the same kernel is chosen are handed
 * to it together, and share launches where it can do that: sums may then be added up in another order than one by one, the
 * same in every run. An A that is to be quantized is so once for them.
 *
 * @throws QutlassError as {@link matmul}; then nothing is enqueued
 */
export function matmulGroup<A extends FloatDType, D extends FloatDType = A>(
  a: Tensor<A>,
  factors: readonly Factor[],
  options?: GroupOptions<D> & { activations?: never },
): Tensor<D>[];
export function matmulGroup<K extends FormatKind, A extends FloatDType, D extends FloatDType = A>(
  a: Tensor<A>,
  factors: readonly Factor<Weight<PartnerOf<K>>>[],
  options: GroupOptions<D> & Pick<QuantizingOptions<D, K>, 'activations'>,
): Tensor<D>[];
export function matmulGroup<K extends FormatKind, D extends FloatDType = 'bf16'>(
  a: QuantizedTensor<Format<K>>,
  factors: readonly Factor<Weight<PartnerOf<K>>>[],
  options?: GroupOptions<D>,
): Tensor<D>[];
export function matmulGroup(
  a: OperandA,
  factors: readonly Factor[],
  options: GroupOptions & Pick<ProblemOptions, 'activations'> = {},
): Tensor<FloatDType>[] {
  const { outDType, accuracy, activations } = options;
  const problems = factors.map(({ b, bias }) => new Problem(a, b, { bias, outDType, accuracy, activations }));
  return scope(() => {
    const launches = new Map<number, MatmulProblem[number][]>();
    const outs = problems.map((problem) => {
      const out = Tensor.empty(problem.outShape, problem.outDType, a.device);
      const kernel = chooseKernel(problem, out);
      launches.set(kernel, [...(launches.get(kernel) ?? []), ...problem.native(out)]);
      return out;
    });
    for (const [kernel, list] of launches) {
      loadBinding().matmulGroup(a.device.stream.handle, kernel, ...list);
    }
    return outs;
  });
}
