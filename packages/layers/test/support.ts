import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Device, type FloatDType, type MemoryStats, Tensor } from '@qutlass/core-kernels';
import { bf16Bits } from '@qutlass/test-support';
import { expect } from 'vitest';
import { writeCheckpoint } from '../src/checkpoint/checkpoint-writer.js';
import { SafetensorsFile } from '../src/checkpoint/safetensors-reader.js';
import type { TensorToWrite } from '../src/checkpoint/safetensors-writer.js';
import { testdata } from '../src/checkpoint/test-support.js';
import type { Llama } from '../src/model/llama.js';

export const device = Device.default;
export const tinyLlama = join(testdata, 'models/tiny-llama');

/**
 * How far logits of tiny-llama may be from others where activations are float32. A product on tensor cores may be off by 2^-16
 * of its terms, 2^-7 of what rounding activations to bfloat16 loses, which may cost 0.5.
 */
export const FLOAT32_LOGITS = device.kind === 'cpu' ? 1e-4 : 0.5 * 2 ** -7;

/** Token ids and logits that a float64 program computed for tiny-llama. */
export async function reference() {
  await using file = await SafetensorsFile.open(join(tinyLlama, 'reference.safetensors'));
  const int32 = async (name: string) => new Int32Array((await file.read(name)).buffer);
  return {
    prompt: await int32('prompt_ids'),
    greedy: await int32('greedy_ids'),
    heldOut: await int32('heldout_ids'),
    promptLogits: new Float32Array((await file.read('prompt_logits')).buffer),
  };
}

/** Uniform in [-1, 1), exact in bf16: any float dtype holds the same numbers. */
export function randomValues(count: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 24) - 128) / 128;
  });
}

export function randomTensor<D extends FloatDType = 'f32'>(
  shape: readonly number[],
  seed = 1,
  dtype = 'f32' as D,
): Tensor<D> {
  const size = shape.reduce((a, b) => a * b, 1);
  return Tensor.from(randomValues(size, seed), { shape, dtype, device });
}

export function ids(values: ArrayLike<number>): Tensor<'i32'> {
  return Tensor.from(Int32Array.from(values), { shape: [values.length], dtype: 'i32', device });
}

/** The memory of the device once all enqueued work has run. */
export async function memory(): Promise<MemoryStats> {
  await device.synchronize();
  return device.memoryStats();
}

/**
 * Runs `body`, and expects it to leave no more blocks of device memory in use than it found. Fewer there may be: the data of
 * a rotation, which is a value, go when the garbage collector finds it.
 */
export async function expectNoLeak(body: () => unknown): Promise<void> {
  const { allocations } = await memory();
  await body();
  expect((await memory()).allocations).toBeLessThanOrEqual(allocations);
}

export interface Products {
  rows: number;
  cols: number;
  inner: number;
}

/**
 * Checks out[m, n] = alpha * sum_k a[m, k] w[n, k] + bias[n] against float64, to
 * `relative |D| + 2^-16 alpha sum_k |a| |w|`.
 */
export function expectProduct(
  out: ArrayLike<number>,
  a: ArrayLike<number>,
  w: ArrayLike<number>,
  { rows, cols, inner }: Products,
  {
    alpha = 1,
    bias,
    relative = 2 ** -8,
  }: { alpha?: number; bias?: ArrayLike<number>; relative?: number } = {},
): void {
  expect(out).toHaveLength(rows * cols);
  for (let m = 0; m < rows; ++m) {
    for (let n = 0; n < cols; ++n) {
      let [sum, magnitude] = [0, 0];
      for (let k = 0; k < inner; ++k) {
        const product = (a[m * inner + k] as number) * (w[n * inner + k] as number);
        sum += product;
        magnitude += Math.abs(product);
      }
      const exact = alpha * sum + (bias?.[n] ?? 0);
      const bound = relative * Math.abs(exact) + 2 ** -16 * alpha * magnitude + 1e-30;
      const difference = Math.abs((out[m * cols + n] as number) - exact);
      if (!(difference <= bound)) {
        expect.fail(`out[${m}, ${n}] = ${out[m * cols + n]}, float64 ${exact}, bound ${bound}`);
      }
    }
  }
}

/** A model small enough to write in each test. */
export const SMALL_CONFIG = {
  model_type: 'llama',
  vocab_size: 48,
  hidden_size: 32,
  intermediate_size: 80,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  tie_word_embeddings: false,
  attention_bias: false,
  mlp_bias: false,
  bos_token_id: null,
  eos_token_id: null,
  dtype: 'bfloat16',
};

export type SmallConfig = typeof SMALL_CONFIG;

/** The names and shapes that Hugging Face gives the tensors of a Llama. */
export function tensorShapes(config: SmallConfig): Map<string, readonly number[]> {
  const { hidden_size: hidden, intermediate_size: inner, vocab_size: vocabulary } = config;
  const kv = (hidden / config.num_attention_heads) * config.num_key_value_heads;
  const shapes = new Map<string, readonly number[]>([['model.embed_tokens.weight', [vocabulary, hidden]]]);
  for (let layer = 0; layer < config.num_hidden_layers; ++layer) {
    const path = `model.layers.${layer}`;
    const linears: [string, number, number, boolean][] = [
      ['self_attn.q_proj', hidden, hidden, config.attention_bias],
      ['self_attn.k_proj', kv, hidden, config.attention_bias],
      ['self_attn.v_proj', kv, hidden, config.attention_bias],
      ['self_attn.o_proj', hidden, hidden, config.attention_bias],
      ['mlp.gate_proj', inner, hidden, config.mlp_bias],
      ['mlp.up_proj', inner, hidden, config.mlp_bias],
      ['mlp.down_proj', hidden, inner, config.mlp_bias],
    ];
    shapes.set(`${path}.input_layernorm.weight`, [hidden]);
    shapes.set(`${path}.post_attention_layernorm.weight`, [hidden]);
    for (const [name, n, k, bias] of linears) {
      shapes.set(`${path}.${name}.weight`, [n, k]);
      if (bias) shapes.set(`${path}.${name}.bias`, [n]);
    }
  }
  shapes.set('model.norm.weight', [hidden]);
  if (!config.tie_word_embeddings) shapes.set('lm_head.weight', [vocabulary, hidden]);
  return shapes;
}

/** Writes a model with random bfloat16 weights; `change` may alter its tensors before. */
export async function writeSmallModel(
  directory: string,
  options: Partial<SmallConfig> = {},
  change: (tensors: Map<string, TensorToWrite>) => void = () => {},
): Promise<SmallConfig> {
  const config = { ...SMALL_CONFIG, ...options };
  const tensors = new Map<string, TensorToWrite>();
  let seed = 1;
  for (const [name, shape] of tensorShapes(config)) tensors.set(name, bf16Tensor(name, shape, ++seed));
  change(tensors);
  await writeCheckpoint(directory, tensors.values());
  await writeFile(join(directory, 'config.json'), JSON.stringify(config));
  return config;
}

/** Random numbers as a tensor to write. */
export function bf16Tensor(name: string, shape: readonly number[], seed = 1): TensorToWrite {
  const values = randomValues(
    shape.reduce((a, b) => a * b, 1),
    seed,
  );
  const bits = Uint16Array.from(values, bf16Bits);
  return { name, dtype: 'BF16', shape, data: bits };
}

/** Reads, changes and writes a JSON file. */
export async function editJson(path: string, edit: (json: Record<string, unknown>) => void): Promise<void> {
  const json = JSON.parse(await readFile(path, 'utf8'));
  edit(json);
  await writeFile(path, JSON.stringify(json));
}

/** The bytes of all parameters by name: of a quantized one, those of its parts. */
export async function parameterBytes(model: Llama): Promise<Map<string, Uint8Array>> {
  const bytes = new Map<string, Uint8Array>();
  for (const [name, parameter] of model.parameters()) {
    if (parameter instanceof Tensor) {
      bytes.set(name, await parameter.toBytes());
      continue;
    }
    const { codes, scales, zeroPoints, globalScale } = parameter;
    for (const [part, tensor] of Object.entries({ codes, scales, zeroPoints, globalScale })) {
      if (tensor) bytes.set(`${name}/${part}`, await tensor.toBytes());
    }
  }
  return bytes;
}

/** The logits [M, vocabulary] of tokens in an empty cache. */
export async function logitsOf(model: Llama, tokens: ArrayLike<number>): Promise<Float32Array> {
  using cache = model.createCache(tokens.length);
  using input = Tensor.from(Int32Array.from(tokens), {
    shape: [tokens.length],
    dtype: 'i32',
    device: model.device,
  });
  using logits = model.forward(input, { cache });
  return await logits.toFloat32Array();
}
