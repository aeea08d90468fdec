// Matrix multiplication: which operands multiply, which kernel runs, and why. Everything of @qutlass/quant is exported
// here too, so one import is enough.

export * from '@qutlass/quant';
export {
  ARCHITECTURES,
  type Architecture,
  architectureOf,
  type Precision,
  RATES,
  type Rates,
} from './architecture.js';
export type { Candidate } from './choose.js';
export {
  type BlockScaledProduct,
  matmulInt4Bf16Tn,
  matmulInt8Bf16Tn,
  matmulMxf4Bf16Tn,
  matmulMxf8Bf16Nn,
  matmulMxf8Bf16Tn,
  matmulNvf4Bf16Tn,
} from './compat.js';
export { Explanation, explain } from './explain.js';
export { HARDWARE, type Hardware, hardwareFrom, hardwareOf } from './hardware.js';
export { matmul } from './matmul.js';
export { type ExpertsOptions, matmulExperts } from './matmul-experts.js';
export { type Factor, type GroupOptions, matmulGroup } from './matmul-group.js';
export { type KernelModel, predictSeconds, type Workload } from './model.js';
export {
  FORMAT_PAIRS,
  type FormatPairs,
  type OperandA,
  type OperandB,
  type PartnerOf,
  type Weight,
} from './pairs.js';
export {
  type OperandKind,
  type PairPrecision,
  PRECISION_MATRIX,
  type PrecisionRow,
  precisionOf,
  precisionTable,
} from './precision.js';
export { PreparedWeight, prepare } from './prepare.js';
export type { Accuracy, MatmulOptions, ProblemOptions, QuantizingOptions } from './problem.js';
export { type Roofline, roofline, type Work } from './roofline.js';
export {
  type TunedProblem,
  type TuneOptions,
  type TuneProblem,
  type TuneProgress,
  tune,
} from './tune.js';
export { clearTuning, loadTuning, saveTuning } from './tuning.js';
