import { Device, type FloatDType, Tensor } from '@qutlass/core-kernels';
import { type LlamaConfig, readLlamaConfig } from '../checkpoint/config.js';
import { checkpointError } from '../checkpoint/errors.js';
import { exists } from '../checkpoint/file-io.js';
import { readQuantizationConfig } from '../checkpoint/quantization-config.js';
import { readQuantLinear } from '../checkpoint/quantized-weights.js';
import { CheckpointFiles } from '../checkpoint/sharded.js';
import { Tokenizer } from '../checkpoint/tokenizer.js';
import { Attention } from '../modules/attention.js';
import { DecoderLayer } from '../modules/decoder-layer.js';
import { Embedding } from '../modules/embedding.js';
import { Linear, type LinearModule } from '../modules/linear.js';
import { GatedMLP } from '../modules/mlp.js';
import type { Module } from '../modules/module.js';
import { RMSNorm } from '../modules/rms-norm.js';
import { join } from 'node:path';
import { Llama } from './llama.js';

export interface LoadOptions {
  /** Default: the best device there is. */
  device?: Device;
  /** What activations are kept in. Default: f32 on the CPU, which has no 16-bit arithmetic, and bf16 elsewhere. */
  dtype?: FloatDType;
  /** Called after each tensor. */
  onProgress?: (progress: LoadProgress) => void;
}

export interface LoadProgress {
  tensor: string;
  done: number;
  total: number;
}

const DENSE_DTYPES: Readonly<Record<string, FloatDType>> = { F32: 'f32', BF16: 'bf16', F16: 'f16' };

/** Reads a model directory into a {@link Llama}. One tensor at a time passes through host memory. */
export async function loadLlama(directory: string, options: LoadOptions): Promise<Llama> {
  const { device = Device.open('auto'), onProgress } = options;
  const dtype = options.dtype ?? (device.kind === 'cpu' ? 'f32' : 'bf16');
  const config = await readLlamaConfig(directory);
  const quantization = await readQuantizationConfig(directory);
  const tokenizer = (await exists(join(directory, 'tokenizer.json'))) ? await Tokenizer.load(directory) : undefined;
  tokenizer?.assertMatches(config);
  await using files = await CheckpointFiles.open(directory);
  const total = files.names.length;
  let done = 0;
  const built: Module[] = [];
  const read = (name: string, shape: readonly number[]) =>
    readDense(files, name, shape, device, () => onProgress?.({ tensor: name, done: ++done, total }));
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
      if (entry) {
        const layer = await readQuantLinear(files, path, entry, [n, k], device, bias);
        onProgress?.({ tensor: `${path}.weight`, done: ++done, total });
        return keep(layer);
      }
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
    const lmHead = await readHead(config, files, embedTokens, linear, keep);
    return new Llama(config, { embedTokens, layers, norm: finalNorm, lmHead }, { dtype, device, tokenizer, source: directory });
  } catch (error) {
    for (const module of built) module.dispose();
    throw error;
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
  const attention = (name: string, n: number, k: number) => linear(`${path}.self_attn.${name}`, n, k, attentionBias);
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

/** A checkpoint with tied embeddings has no head of its own; the memory is shared. */
async function readHead(
  config: LlamaConfig,
  files: CheckpointFiles,
  embedTokens: Embedding,
  linear: ReadLinear,
  keep: <M extends Module>(module: M) => M,
): Promise<LinearModule> {
  if (config.tieWordEmbeddings && !files.has('lm_head.weight') && !files.has('lm_head.weight.codes')) {
    return keep(new Linear(embedTokens.weight.share()));
  }
  return linear('lm_head', config.vocabSize, config.hiddenSize, false);
}

async function readDense(
  files: CheckpointFiles,
  name: string,
  shape: readonly number[],
  device: Device,
  onRead: () => void,
): Promise<Tensor<FloatDType>> {
  const info = files.info(name);
  const dtype = DENSE_DTYPES[info.dtype];
  if (!dtype) {
    throw checkpointError(`tensor ${JSON.stringify(name)}`, `expected F32, BF16 or F16, got ${info.dtype}`);
  }
  if (info.shape.length !== shape.length || info.shape.some((extent, i) => extent !== shape[i])) {
    throw checkpointError(
      `tensor ${JSON.stringify(name)}`,
      `expected shape [${shape.join(', ')}] from config.json, got [${info.shape.join(', ')}]`,
    );
  }
  const bytes = await files.read(name);
  onRead();
  return Tensor.fromBytes(bytes, { shape, dtype, device });
}
