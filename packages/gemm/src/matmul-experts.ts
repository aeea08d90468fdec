import {
  type FloatDType,
  invalidArgument,
  loadBinding,
  requireSameDevice,
  shapeText,
  Tensor,
} from '@qutlass/core-kernels';
import type { Format, FormatKind, QuantizedTensor } from '@qutlass/quant';
import type { OperandA, OperandB, PartnerOf, Weight } from './pairs.js';
import { type MatmulOptions, Problem, type ProblemOptions, type QuantizingOptions } from './problem.js';

/** As of {@link matmul}; `bias` is [E, N]. */
export type ExpertsOptions<D extends FloatDType = FloatDType> = Omit<MatmulOptions<D>, 'kernel'>;

/**
 * The products of the experts of a layer, in one launch: of A [T, K], whose rows are sorted by expert, rows `offsets[e]` to
 * `offsets[e + 1]` are multiplied with rows e N to (e + 1) N of B [E N, K]. The result is [T, N]; each pair of formats, bias,
 * `alpha` and rounding are as in {@link matmul}, and the device chooses the kernel.
 *
 * Offsets are read when the product runs, so a router may have just computed them, and a graph follows when they change. They
 * cannot be checked before: an offset counts as no less than 0 and the offsets before it, and no more than T. Rows of no
 * expert become 0.
 *
 * @param offsets i32 [E + 1]
 * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DTYPE`, `QUTLASS_E_FORMAT`
 */
export function matmulExperts<A extends FloatDType, D extends FloatDType = A>(
  a: Tensor<A>,
  b: Tensor<FloatDType> | Weight,
  offsets: Tensor<'i32'>,
  options?: ExpertsOptions<D> & { activations?: never },
): Tensor<D>;
export function matmulExperts<K extends FormatKind, A extends FloatDType, D extends FloatDType = A>(
  a: Tensor<A>,
  b: Weight<PartnerOf<K>>,
  offsets: Tensor<'i32'>,
  options: ExpertsOptions<D> & Pick<QuantizingOptions<D, K>, 'activations'>,
): Tensor<D>;
export function matmulExperts<K extends FormatKind, D extends FloatDType = 'bf16'>(
  a: QuantizedTensor<Format<K>>,
  b: Weight<PartnerOf<K>>,
  offsets: Tensor<'i32'>,
  options?: ExpertsOptions<D>,
): Tensor<D>;
export function matmulExperts(
  a: OperandA,
  b: OperandB,
  offsets: Tensor<'i32'>,
  options: Omit<ProblemOptions, 'kernel'> = {},
): Tensor<FloatDType> {
  if (offsets.dtype !== 'i32') throw invalidArgument('QUTLASS_E_DTYPE', 'offsets', 'i32', offsets.dtype);
  if (offsets.rank !== 1 || offsets.size < 2) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'offsets', 'shape [E + 1]', shapeText(offsets.shape));
  }
  requireSameDevice(a, offsets);
  const problem = new Problem(a, b, options, offsets.size - 1);
  const out = Tensor.empty(problem.outShape, problem.outDType, a.device);
  try {
    loadBinding().matmulExperts(a.device.stream.handle, offsets.handle, ...problem.native(out));
    return out;
  } catch (error) {
    out.dispose();
    throw error;
  }
}
