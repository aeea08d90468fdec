import { invalidArgument } from '@qutlass/core-kernels';
import { type LlamaConfig, parseLlamaConfig } from '@qutlass/layers';

// Configurations of models, from the config.json that their makers publish. Only what decides on shapes matters here: the
// weights are random, and what Qwen3 has beyond a Llama (a norm of queries and keys) costs next to nothing.

interface Dimensions {
  vocab: number;
  hidden: number;
  intermediate: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Longest context. */
  positions: number;
  theta: number;
}

const DIMENSIONS: Readonly<Record<string, Dimensions>> = {
  tiny: {
    ...{ vocab: 1024, hidden: 256, intermediate: 768, layers: 4, heads: 4, kvHeads: 2, headDim: 64 },
    ...{ positions: 1024, theta: 10_000 },
  },
  'llama-2-7b': {
    ...{
      vocab: 32_000,
      hidden: 4096,
      intermediate: 11_008,
      layers: 32,
      heads: 32,
      kvHeads: 32,
      headDim: 128,
    },
    ...{ positions: 4096, theta: 10_000 },
  },
  'llama-3-8b': {
    ...{
      vocab: 128_256,
      hidden: 4096,
      intermediate: 14_336,
      layers: 32,
      heads: 32,
      kvHeads: 8,
      headDim: 128,
    },
    ...{ positions: 8192, theta: 500_000 },
  },
  'llama-3-70b': {
    ...{
      vocab: 128_256,
      hidden: 8192,
      intermediate: 28_672,
      layers: 80,
      heads: 64,
      kvHeads: 8,
      headDim: 128,
    },
    ...{ positions: 8192, theta: 500_000 },
  },
  'qwen3-32b': {
    ...{
      vocab: 151_936,
      hidden: 5120,
      intermediate: 25_600,
      layers: 64,
      heads: 64,
      kvHeads: 8,
      headDim: 128,
    },
    ...{ positions: 40_960, theta: 1_000_000 },
  },
};

export const MODEL_NAMES: readonly string[] = Object.keys(DIMENSIONS);

/**
 * The configuration of a model by name, with fewer layers if asked for.
 * @throws QutlassError `QUTLASS_E_ARGUMENT` listing the names
 */
export function modelConfig(name: string, layers?: number): LlamaConfig {
  const model = Object.hasOwn(DIMENSIONS, name) ? DIMENSIONS[name] : undefined;
  if (!model) {
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      'model',
      `one of ${MODEL_NAMES.join(', ')}`,
      JSON.stringify(name),
    );
  }
  const json = {
    model_type: 'llama',
    vocab_size: model.vocab,
    hidden_size: model.hidden,
    intermediate_size: model.intermediate,
    num_hidden_layers: layers ?? model.layers,
    num_attention_heads: model.heads,
    num_key_value_heads: model.kvHeads,
    head_dim: model.headDim,
    rms_norm_eps: 1e-5,
    max_position_embeddings: model.positions,
    rope_theta: model.theta,
    dtype: 'bfloat16',
  };
  return parseLlamaConfig(json, name);
}

/** The weight [N, K] of a linear layer. */
export interface MatrixExtents {
  readonly n: number;
  readonly k: number;
}

/**
 * The matrices of one decoder layer, fused as inference engines do: queries, keys and values; output; gate and up; down.
 */
export function layerMatrices(name: string): MatrixExtents[] {
  const { hiddenSize, intermediateSize, numHeads, numKvHeads, headDim } = modelConfig(name);
  return [
    { n: (numHeads + 2 * numKvHeads) * headDim, k: hiddenSize },
    { n: hiddenSize, k: numHeads * headDim },
    { n: 2 * intermediateSize, k: hiddenSize },
    { n: hiddenSize, k: intermediateSize },
  ];
}
