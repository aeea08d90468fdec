import { DTYPES } from '@qutlass/core-kernels';
import type { Embedding, Llama } from '@qutlass/layers';

/**
 * Bytes that one decoded token reads at least: every parameter once, of the embedding one row only, and the keys and values
 * of the tokens before it.
 */
export function bytesPerToken(model: Llama, context: number): number {
  const { config, dtype } = model;
  const { weight } = model.child('model.embed_tokens') as Embedding;
  const tableRows = config.tieWordEmbeddings ? 0 : config.vocabSize - 1;
  const unread = (tableRows * weight.byteLength) / config.vocabSize;
  const { numLayers, numKvHeads, headDim } = config;
  const cache = 2 * numLayers * numKvHeads * headDim * context * DTYPES[dtype].bytes;
  return model.byteLength - unread + cache;
}
