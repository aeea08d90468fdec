// Matrix multiplication: which operands multiply, which kernel runs, and why. Everything of @qutlass/quant is exported
// here too, so one import is enough.

export * from '@qutlass/quant';
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
export { matmul } from './matmul.js';
export {
  FORMAT_PAIRS,
  type FormatPairs,
  type OperandA,
  type OperandB,
  type PartnerOf,
  type Weight,
} from './pairs.js';
export { PreparedWeight, prepare } from './prepare.js';
export type { MatmulOptions } from './problem.js';
