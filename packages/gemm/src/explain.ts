import { type FloatDType, Tensor } from '@qutlass/core-kernels';
import type { Format, FormatKind, QuantizedTensor } from '@qutlass/quant';
import { best, type Candidate, candidates } from './choose.js';
import type { OperandA, OperandB, PartnerOf, Weight } from './pairs.js';
import { type MatmulOptions, Problem } from './problem.js';

/** What {@link matmul} would do with a problem, and why. */
export class Explanation {
  /** `bf16[16, 4096] x nvfp4[4096, 4096] -> bf16` */
  readonly problem: string;
  readonly operations: number;
  /** Bytes that have to be moved at least. */
  readonly bytes: number;
  readonly candidates: readonly Candidate[];
  /** The kernel that runs; undefined if none can. */
  readonly chosen: string | undefined;

  /** @internal Use {@link explain}. */
  constructor(problem: Problem, list: readonly Candidate[]) {
    this.problem = problem.toString();
    this.operations = problem.operations;
    this.bytes = problem.bytes;
    this.candidates = list;
    this.chosen = best(list)?.kernel.name;
  }

  toString(): string {
    const intensity = (this.operations / this.bytes).toFixed(1);
    const lines = this.candidates.map(({ kernel, refusal, predictedSeconds = 0 }) => {
      const mark = kernel.name === this.chosen ? '*' : ' ';
      return `${mark} ${kernel.name.padEnd(20)} ${refusal ?? `predicted ${(predictedSeconds * 1e6).toFixed(1)} us`}`;
    });
    return [`${this.problem}, ${intensity} operations per byte`, ...lines].join('\n');
  }
}

/** The kernels that could multiply these operands, the one chosen, predictions, and why others were refused. */
export function explain(
  a: Tensor<FloatDType>,
  b: Tensor<FloatDType> | Weight,
  options?: MatmulOptions,
): Explanation;
export function explain<K extends FormatKind>(
  a: QuantizedTensor<Format<K>>,
  b: Weight<PartnerOf<K>>,
  options?: MatmulOptions,
): Explanation;
export function explain(a: OperandA, b: OperandB, options: MatmulOptions = {}): Explanation {
  const problem = new Problem(a, b, options);
  using out = Tensor.empty([problem.m, problem.n], problem.outDType, a.device);
  return new Explanation(problem, candidates(problem, out));
}
