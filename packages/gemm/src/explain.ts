import { type FloatDType, Tensor } from '@qutlass/core-kernels';
import type { Format, FormatKind, QuantizedTensor } from '@qutlass/quant';
import { best, type Candidate, candidates } from './choose.js';
import { type Hardware, hardwareOf } from './hardware.js';
import type { OperandA, OperandB, PartnerOf, Weight } from './pairs.js';
import { type PairPrecision, precisionOf } from './precision.js';
import { type MatmulOptions, Problem, type ProblemOptions, type QuantizingOptions } from './problem.js';
import { type Roofline, roofline } from './roofline.js';

/** What {@link matmul} would do with a problem, and why. */
export class Explanation {
  /** `bf16[16, 4096] x nvfp4[4096, 4096] -> bf16` */
  readonly problem: string;
  readonly hardware: Hardware;
  readonly operations: number;
  /** Bytes that have to be moved at least. */
  readonly bytes: number;
  /** The fastest precision that the hardware has for the operands. */
  readonly precision: PairPrecision;
  /** The least time that the hardware allows in that precision. */
  readonly roofline: Roofline;
  readonly candidates: readonly Candidate[];
  /** The kernel that runs; undefined if none can. */
  readonly chosen: string | undefined;

  /** @internal Use {@link explain}. */
  constructor(problem: Problem, list: readonly Candidate[]) {
    const { operations, bytes, a, b } = problem;
    this.problem = problem.toString();
    this.hardware = hardwareOf(problem.device);
    this.operations = operations;
    this.bytes = bytes;
    this.precision = precisionOf(a, b, this.hardware.architecture);
    this.roofline = roofline(this.hardware, {
      operations: operations * this.precision.products,
      bytes,
      precision: this.precision.precision,
    });
    this.candidates = list;
    this.chosen = best(list)?.kernel.name;
  }

  toString(): string {
    const { intensity, ridge, seconds, bound } = this.roofline;
    const lines = this.candidates.map((candidate) => {
      const mark = candidate.kernel.name === this.chosen ? '*' : ' ';
      return `${mark} ${candidate.kernel.name.padEnd(22)} ${candidate.refusal ?? timesText(candidate)}`;
    });
    return [
      `${this.problem}, ${(this.operations / this.bytes).toFixed(1)} operations per byte`,
      `${this.hardware.name}: at least ${microseconds(seconds)}, bound by ${bound} ` +
        `(${this.precision.precision}: ${intensity.toFixed(1)} of ${ridge.toFixed(1)} operations per byte)`,
      ...lines,
    ].join('\n');
  }
}

function timesText({ kernel, predictedSeconds = 0, measuredSeconds }: Candidate): string {
  return [
    `predicted ${microseconds(predictedSeconds)}`,
    ...(measuredSeconds === undefined ? [] : [`measured ${microseconds(measuredSeconds)}`]),
    ...(kernel.onRequest ? ['runs only when asked for by name'] : []),
  ].join(', ');
}

function microseconds(seconds: number): string {
  return `${(seconds * 1e6).toFixed(1)} us`;
}

/** The kernels that could multiply these operands, the one chosen, times, and why others were refused. */
export function explain(
  a: Tensor<FloatDType>,
  b: Tensor<FloatDType> | Weight,
  options?: MatmulOptions & { activations?: never },
): Explanation;
export function explain<K extends FormatKind>(
  a: Tensor<FloatDType>,
  b: Weight<PartnerOf<K>>,
  options: QuantizingOptions<FloatDType, K>,
): Explanation;
export function explain<K extends FormatKind>(
  a: QuantizedTensor<Format<K>>,
  b: Weight<PartnerOf<K>>,
  options?: MatmulOptions,
): Explanation;
export function explain(a: OperandA, b: OperandB, options: ProblemOptions = {}): Explanation {
  const problem = new Problem(a, b, options);
  using out = Tensor.empty([problem.m, problem.n], problem.outDType, a.device);
  return new Explanation(problem, candidates(problem, out));
}
