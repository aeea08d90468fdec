import { DTYPES } from '@qutlass/core-kernels';
import type { Embedding, Llama, LlamaConfig } from '@qutlass/layers';
import type { DecodeStepItems } from '../results/types.js';

/** The bytes of a decode step. */
export type StepBytes = Omit<DecodeStepItems, 'operations' | 'restSeconds'>;

/**
 * What one decoded token reads at least: every parameter once, but of the embedding one row only, and the keys and values of
 * the tokens before it. And what operations hand to each other.
 */
export function stepBytes(model: Llama, context: number): StepBytes {
  const { config, dtype } = model;
  const { weight: table } = model.child('model.embed_tokens') as Embedding;
  const head = model.child('lm_head').byteLength;
  const row = table.byteLength / config.vocabSize;
  const { bytes } = DTYPES[dtype];
  const { numLayers, numKvHeads, headDim } = config;
  return {
    layerBytes: model.byteLength - table.byteLength - head + row,
    // A tied head is the table, and has no parameters of its own.
    headBytes: head || table.byteLength,
    cacheBytes: 2 * numLayers * numKvHeads * headDim * context * bytes,
    activationBytes: activations(config) * bytes,
  };
}

/** The bytes that a token reads from memory. */
export function bytesPerToken({ layerBytes, headBytes, cacheBytes }: StepBytes): number {
  return layerBytes + headBytes + cacheBytes;
}

/** Elements that the operations of a step read and write, besides parameters and cache. */
function activations(config: LlamaConfig): number {
  const { hiddenSize, intermediateSize, numHeads, numKvHeads, headDim, numLayers, vocabSize } = config;
  const queries = numHeads * headDim;
  const keys = numKvHeads * headDim;
  // Two norms with the residual stream; the input and the output of each product, of the rotation, of attention, of SiLU.
  const layer = 12 * hiddenSize + 6 * (queries + keys + intermediateSize);
  // Embedding, last norm, head, choice of the token.
  return numLayers * layer + 6 * hiddenSize + 2 * vocabSize;
}
