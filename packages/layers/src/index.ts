// Modules, models and checkpoints. Everything of the packages below is exported here too, so one import is enough.

export * from '@qutlass/gemm';
export * from './checkpoint/index.js';
export {
  type Fp4MatmulOptions,
  Fp4WeightCache,
  fp4CachedLinear,
  fp4Linear,
  fp4Matmul,
  fp4Quantize,
} from './fp4.js';
export { type EvaluateOptions, type Evaluation, evaluate } from './model/evaluate.js';
export type { GeneratedToken, GenerateOptions } from './model/generate.js';
export { type ForwardOptions, Llama, type LlamaOptions, type LlamaParts } from './model/llama.js';
export type { LoadOptions } from './model/load.js';
export {
  type LayerRecipe,
  type QuantizeModelOptions,
  quantizeModel,
  type Recipe,
} from './model/quantize-model.js';
export { saveModel } from './model/save.js';
export type { LoadProgress } from './model/tensor-source.js';
export { Attention, type AttentionContext, type AttentionOptions } from './modules/attention.js';
export { DecoderLayer, type DecoderLayerParts } from './modules/decoder-layer.js';
export { Deferred, type Maker } from './modules/deferred.js';
export { Embedding } from './modules/embedding.js';
export { KVCache, type KVCacheOptions } from './modules/kv-cache.js';
export { Linear, LinearModule, type Reading, TiedLinear } from './modules/linear.js';
export { GatedMLP } from './modules/mlp.js';
export { Module, type Parameter } from './modules/module.js';
export { QuantExperts, type QuantExpertsOptions, type QuantExpertsParts } from './modules/quant-experts.js';
export { QuantLinear, type QuantLinearOptions, type QuantLinearParts } from './modules/quant-linear.js';
export { RMSNorm } from './modules/rms-norm.js';
