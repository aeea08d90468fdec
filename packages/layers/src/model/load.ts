import { join } from 'node:path';
import { Device, type FloatDType } from '@qutlass/core-kernels';
import { type LlamaConfig, readLlamaConfig } from '../checkpoint/config.js';
import { checkpointError } from '../checkpoint/errors.js';
import { exists } from '../checkpoint/file-io.js';
import { type QuantizationConfig, readQuantizationConfig } from '../checkpoint/quantization-config.js';
import { readQuantLinear } from '../checkpoint/quantized-weights.js';
import { CheckpointFiles } from '../checkpoint/sharded.js';
import { Tokenizer } from '../checkpoint/tokenizer.js';
import { Attention } from '../modules/attention.js';
import { DecoderLayer } from '../modules/decoder-layer.js';
import { Embedding } from '../modules/embedding.js';
import { Linear, type LinearModule, TiedLinear } from '../modules/linear.js';
import { GatedMLP } from '../modules/mlp.js';
import type { Module } from '../modules/module.js';
import { QuantLinear } from '../modules/quant-linear.js';
import { RMSNorm } from '../modules/rms-norm.js';
import { Llama } from './llama.js';
import { type LoadProgress, TensorSource } from './tensor-source.js';

export interface LoadOptions {
  /** Default: the best device there is. */
  device?: Device;
  /** What activations are kept in. Default: f32 on the CPU, which has no 16-bit arithmetic, and bf16 elsewhere. */
  dtype?: FloatDType;
  /** Called after each tensor. */
  onProgress?: (progress: LoadProgress) => void;
  signal?: AbortSignal;
}

/** Buffers that older versions of Hugging Face's Llama stored; they follow from config.json. */
const ROPE_BUFFER = /\.rotary_emb\.inv_freq$/;

/** Reads a model directory into a {@link Llama}. One tensor at a time passes through host memory. */
export async function loadLlama(directory: string, options: LoadOptions): Promise<Llama> {
  const { device = Device.open('auto'), onProgress, signal } = options;
  const dtype = options.dtype ?? (device.kind === 'cpu' ? 'f32' : 'bf16');
  const config = await readLlamaConfig(directory);
  const quantization = await readQuantizationConfig(directory);
  const tokenizer = (await exists(join(directory, 'tokenizer.json')))
    ? await Tokenizer.load(directory)
    : undefined;
  tokenizer?.assertMatches(config);
  await using files = await CheckpointFiles.open(directory);
  const tied = config.tieWordEmbeddings;
  const source = new TensorSource(files, {
    // A tied head is the embedding again, and some checkpoints store it all the same.
    redundant: (name) => ROPE_BUFFER.test(name) || (tied && name === 'lm_head.weight'),
    onProgress,
    signal,
  });
  const built: Module[] = [];
  const read = (name: string, shape: readonly number[]) => source.dense(name, shape, device);
  const keep = <M extends Module>(module: M): M => {
    built.push(module);
    return module;
  };
  const norm = async (path: string) =>
    keep(new RMSNorm(await read(`${path}.weight`, [config.hiddenSize]), config.rmsNormEps));
  const linear = async (path: string, n: number, k: number, hasBias: boolean): Promise<LinearModule> => {
    const bias = hasBias ? await read(`${path}.bias`, [n]) : undefined;
    try {
      const entry = quantization?.modules.get(path);
      if (entry) return keep(await readQuantLinear(source, path, entry, [n, k], device, bias));
      return keep(new Linear(await read(`${path}.weight`, [n, k]), bias));
    } catch (error) {
      bias?.dispose();
      throw error;
    }
  };

  try {
    const embedTokens = keep(
      new Embedding(await read('model.embed_tokens.weight', [config.vocabSize, config.hiddenSize])),
    );
    const layers: DecoderLayer[] = [];
    for (let index = 0; index < config.numLayers; ++index) {
      layers.push(keep(await readLayer(config, index, norm, linear)));
    }
    const finalNorm = await norm('model.norm');
    const lmHead = tied
      ? keep(new TiedLinear(embedTokens))
      : await linear('lm_head', config.vocabSize, config.hiddenSize, false);
    source.requireAllRead();
    const parts = { embedTokens, layers, norm: finalNorm, lmHead };
    const model = keep(new Llama(config, parts, { dtype, device, tokenizer, source: directory }));
    requireModules(quantization, model);
    return model;
  } catch (error) {
    for (const module of built) module.dispose();
    throw error;
  }
}

/** Checks that what config.json says of quantized layers is about layers of this model. */
function requireModules(quantization: QuantizationConfig | undefined, model: Llama): void {
  const quantized = new Set(
    [...model.modules()].map(([path, module]) => module instanceof QuantLinear && path),
  );
  for (const path of quantization?.modules.keys() ?? []) {
    if (!quantized.has(path)) {
      throw checkpointError(
        `quantization_config.modules.${path}`,
        'expected a linear layer of the model that config.json describes',
      );
    }
  }
}

type ReadLinear = (path: string, n: number, k: number, hasBias: boolean) => Promise<LinearModule>;

async function readLayer(
  config: LlamaConfig,
  index: number,
  norm: (path: string) => Promise<RMSNorm>,
  linear: ReadLinear,
): Promise<DecoderLayer> {
  const { hiddenSize, intermediateSize, numHeads, numKvHeads, headDim, attentionBias, mlpBias } = config;
  const path = `model.layers.${index}`;
  const attention = (name: string, n: number, k: number) =>
    linear(`${path}.self_attn.${name}`, n, k, attentionBias);
  const mlp = (name: string, n: number, k: number) => linear(`${path}.mlp.${name}`, n, k, mlpBias);
  return new DecoderLayer({
    inputNorm: await norm(`${path}.input_layernorm`),
    attention: new Attention({
      heads: numHeads,
      kvHeads: numKvHeads,
      headDim,
      index,
      qProj: await attention('q_proj', numHeads * headDim, hiddenSize),
      kProj: await attention('k_proj', numKvHeads * headDim, hiddenSize),
      vProj: await attention('v_proj', numKvHeads * headDim, hiddenSize),
      oProj: await attention('o_proj', hiddenSize, numHeads * headDim),
    }),
    postAttentionNorm: await norm(`${path}.post_attention_layernorm`),
    mlp: new GatedMLP(
      await mlp('gate_proj', intermediateSize, hiddenSize),
      await mlp('up_proj', intermediateSize, hiddenSize),
      await mlp('down_proj', hiddenSize, intermediateSize),
    ),
  });
}
