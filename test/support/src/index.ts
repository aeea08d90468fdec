// What the tests of several packages share. Nothing here imports the code under test.

import './matchers.js';

export { bf16Bits, bf16Value, roundBf16 } from './bf16.js';
export { blockedOffset } from './blocked.js';
export { type ReferenceQuantized, referenceDequantize } from './dequantize.js';
export { onCpu, otherDevice, USE_TEST_DEVICE, useTestDevice } from './device.js';
export { decodeElement, type ReferenceElement } from './elements.js';
export type { ReferenceFormat } from './format.js';
export { GOLDEN_FOLDER, Golden, type GoldenTensor, goldenFiles } from './golden.js';
export { f16Bits, f16Value } from './half.js';
export { HEADER, headerEnum } from './header.js';
export { type Product, productBound, type ReferenceEpilogue, referenceMatmul } from './matmul.js';
export {
  bytesOf,
  type CheckOptions,
  type Comparison,
  changed,
  input,
  type OperandSpec,
  operationChecker,
  output,
  selected,
  type Tolerance,
  valuesOf,
} from './operation.js';
export { philox, roundingBits } from './philox.js';
export { Random } from './random.js';
