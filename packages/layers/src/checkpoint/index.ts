export { type CheckpointWriteOptions, writeCheckpoint } from './checkpoint-writer.js';
export { type LlamaConfig, parseLlamaConfig, readLlamaConfig, SUPPORTED_MODEL_TYPES } from './config.js';
export { type RopeConfig, type RopeScaling, ropeInverseFrequencies } from './rope.js';
export { SAFETENSORS_DTYPES, type SafetensorsDtype } from './safetensors-dtype.js';
export type { TensorInfo } from './safetensors-header.js';
export { SafetensorsFile, type TensorReader } from './safetensors-reader.js';
export {
  type SafetensorsWriteOptions,
  type TensorBytes,
  type TensorsToWrite,
  type TensorToWrite,
  writeSafetensors,
} from './safetensors-writer.js';
export { CheckpointFiles } from './sharded.js';
export { TokenStream } from './token-stream.js';
export { type DecodeOptions, type EncodeOptions, Tokenizer } from './tokenizer.js';
