import { type Device, type FloatDType, Tensor } from '@qutlass/core-kernels';
import {
  Attention,
  DecoderLayer,
  Embedding,
  GatedMLP,
  Linear,
  type LinearModule,
  Llama,
  type LlamaConfig,
  type Module,
  RMSNorm,
} from '@qutlass/layers';
import { denseDType } from '../gemm/operands.js';
import { createLayer } from '../layer/measure.js';
import type { Variant } from '../model/variants.js';

export interface RandomModelOptions {
  /** Whether the head is as the layers are; default: it stays dense, as in the default recipe. */
  quantizeHead?: boolean;
  signal?: AbortSignal | undefined;
  /** Called before each layer. */
  onLayer?: (index: number) => void;
}

/**
 * A Llama with random weights, made and quantized on the device one matrix after the other: the dense weights of the whole
 * model never exist. The embedding stays dense.
 */
export async function createRandomLlama(
  config: LlamaConfig,
  variant: Variant,
  device: Device,
  { quantizeHead = false, signal, onLayer }: RandomModelOptions = {},
): Promise<Llama> {
  const dtype = denseDType(device);
  const built: Module[] = [];
  const keep = <M extends Module>(module: M): M => {
    built.push(module);
    return module;
  };
  let seed = 0;
  // The variance that keeps activations of one size through the layers.
  const random = (n: number, k: number, deviation = k ** -0.5): Tensor<FloatDType> =>
    Tensor.random([n, k], { dtype, device, seed: ++seed, deviation });
  const linear = (n: number, k: number): LinearModule => {
    using weight = random(n, k);
    return keep(createLayer(weight, variant));
  };
  const norm = (): RMSNorm => {
    const ones = new Float32Array(config.hiddenSize).fill(1);
    return keep(
      new RMSNorm(Tensor.from(ones, { shape: [config.hiddenSize], dtype, device }), config.rmsNormEps),
    );
  };
  try {
    const { hiddenSize, intermediateSize, numHeads, numKvHeads, headDim, vocabSize, numLayers } = config;
    const embedTokens = keep(new Embedding(random(vocabSize, hiddenSize, 1)));
    const layers: DecoderLayer[] = [];
    for (let index = 0; index < numLayers; ++index) {
      signal?.throwIfAborted();
      onLayer?.(index);
      layers.push(
        keep(
          new DecoderLayer({
            inputNorm: norm(),
            attention: new Attention({
              ...{ heads: numHeads, kvHeads: numKvHeads, headDim, index },
              qProj: linear(numHeads * headDim, hiddenSize),
              kProj: linear(numKvHeads * headDim, hiddenSize),
              vProj: linear(numKvHeads * headDim, hiddenSize),
              oProj: linear(hiddenSize, numHeads * headDim),
            }),
            postAttentionNorm: norm(),
            mlp: new GatedMLP(
              linear(intermediateSize, hiddenSize),
              linear(intermediateSize, hiddenSize),
              linear(hiddenSize, intermediateSize),
            ),
          }),
        ),
      );
      // The dense matrices are freed when the device has read them; without waiting, they would pile up.
      await device.synchronize();
    }
    const lmHead = quantizeHead
      ? linear(vocabSize, hiddenSize)
      : keep(new Linear(random(vocabSize, hiddenSize)));
    const parts = { embedTokens, layers, norm: norm(), lmHead };
    return new Llama(config, parts, { dtype, device });
  } catch (error) {
    for (const module of built) module.dispose();
    throw error;
  }
}
