export { bf16Bits, bf16Value, roundBf16 } from './bf16.js';
export { GOLDEN_FOLDER, Golden, type GoldenTensor, goldenFiles } from './golden.js';
export { Random } from './random.js';
