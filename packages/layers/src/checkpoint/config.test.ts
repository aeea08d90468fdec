import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLlamaConfig, readLlamaConfig } from './config.js';
import { failure, temporaryDirectory, testdata } from './test-support.js';

const minimal = {
  model_type: 'llama',
  vocab_size: 100,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
};

const parse = (changes: Record<string, unknown>) =>
  parseLlamaConfig({ ...minimal, ...changes }, 'config.json');

const llama3 = {
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

describe('readLlamaConfig', () => {
  it('reads the newer form', async () => {
    expect(await readLlamaConfig(join(testdata, 'models/tiny-llama'))).toEqual({
      vocabSize: 1024,
      hiddenSize: 256,
      intermediateSize: 768,
      numLayers: 4,
      numHeads: 4,
      numKvHeads: 2,
      headDim: 64,
      rmsNormEps: 1e-5,
      ropeTheta: 10_000,
      ropeScaling: { type: 'default' },
      maxPositionEmbeddings: 1024,
      tieWordEmbeddings: false,
      bosTokenId: 0,
      eosTokenIds: [1],
      attentionBias: false,
      mlpBias: false,
      dtype: 'bf16',
    });
  });

  it('takes the end-of-text tokens of generation_config.json', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'config.json'), JSON.stringify({ ...minimal, eos_token_id: 7 }));
    expect((await readLlamaConfig(directory)).eosTokenIds).toEqual([7]);
    const generation = join(directory, 'generation_config.json');
    await writeFile(generation, '{"temperature":0.6}');
    expect((await readLlamaConfig(directory)).eosTokenIds).toEqual([7]);
    await writeFile(generation, '{"eos_token_id":[8,9]}');
    expect((await readLlamaConfig(directory)).eosTokenIds).toEqual([8, 9]);
    await writeFile(generation, '{"eos_token_id":"</s>"}');
    expect(await failure(() => readLlamaConfig(directory))).toBe(
      `QUTLASS_E_CHECKPOINT ${generation}: eos_token_id: expected a token id or an array of them, got "</s>"`,
    );
  });

  it.each([
    ['{', 'expected valid JSON, got CloseBraceExpected at character 1'],
    ['[1]', 'expected a JSON object, got [1]'],
    ['{"vocab_size":1,"vocab_size":2}', 'expected unique keys, got "vocab_size" twice'],
    [Buffer.from([0xff]), 'expected UTF-8 text, got bytes that are not'],
  ])('refuses the file %s', async (text, message) => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'config.json');
    await writeFile(path, text);
    expect(await failure(() => readLlamaConfig(directory))).toBe(`QUTLASS_E_CHECKPOINT ${path}: ${message}`);
  });

  it('refuses a directory without config.json', async () => {
    const directory = await temporaryDirectory();
    expect(await failure(() => readLlamaConfig(directory))).toBe(
      `QUTLASS_E_CHECKPOINT ${join(directory, 'config.json')}: cannot be read (ENOENT)`,
    );
  });
});

describe('parseLlamaConfig', () => {
  it('fills absent keys as Hugging Face does', () => {
    expect(parse({})).toEqual({
      vocabSize: 100,
      hiddenSize: 64,
      intermediateSize: 128,
      numLayers: 2,
      numHeads: 4,
      numKvHeads: 4,
      headDim: 16,
      rmsNormEps: 1e-6,
      ropeTheta: 10_000,
      ropeScaling: { type: 'default' },
      maxPositionEmbeddings: 2048,
      tieWordEmbeddings: false,
      bosTokenId: 1,
      eosTokenIds: [2],
      attentionBias: false,
      mlpBias: false,
      dtype: 'f32',
    });
  });

  it('reads the older form', () => {
    const config = parse({
      torch_dtype: 'float16',
      rope_theta: 500_000.0,
      rope_scaling: { ...llama3, rope_type: 'llama3' },
      bos_token_id: null,
      eos_token_id: [128001, 128008],
    });
    expect(config).toMatchObject({
      dtype: 'f16',
      ropeTheta: 500_000,
      bosTokenId: null,
      eosTokenIds: [128001, 128008],
    });
    expect(config.ropeScaling).toEqual({
      type: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 8192,
    });
  });

  it('reads rope_parameters as it reads rope_theta and rope_scaling', () => {
    const older = parse({ rope_theta: 500_000, rope_scaling: { ...llama3, rope_type: 'llama3' } });
    const newer = { rope_parameters: { ...llama3, rope_type: 'llama3', rope_theta: 500_000 } };
    expect(parse(newer)).toEqual(older);
    expect(parse({ ...newer, rope_scaling: { ...llama3, type: 'llama3' } })).toEqual(older);
  });

  it('reads linear scaling under its first name of the key', () => {
    expect(parse({ rope_scaling: { type: 'linear', factor: 2 } }).ropeScaling).toEqual({
      type: 'linear',
      factor: 2,
    });
    expect(parse({ rope_scaling: null, rope_parameters: null }).ropeScaling).toEqual({ type: 'default' });
  });

  it.each([
    [{ vocab_size: undefined }, 'vocab_size: expected a positive integer, got nothing'],
    [{ vocab_size: '100' }, 'vocab_size: expected a positive integer, got "100"'],
    [{ hidden_size: 64.5 }, 'hidden_size: expected a positive integer, got 64.5'],
    [{ num_hidden_layers: 0 }, 'num_hidden_layers: expected a positive integer, got 0'],
    [{ rms_norm_eps: -1e-5 }, 'rms_norm_eps: expected a positive number, got -0.00001'],
    [{ tie_word_embeddings: 'no' }, 'tie_word_embeddings: expected true or false, got "no"'],
    [{ bos_token_id: -1 }, 'bos_token_id: expected a token id, got -1'],
    [{ eos_token_id: [1, 'x'] }, 'eos_token_id: expected a token id or an array of them, got [1,"x"]'],
    [{ num_key_value_heads: 3 }, 'num_key_value_heads: expected a divisor of num_attention_heads, 4, got 3'],
    [{ head_dim: 15 }, 'head_dim: expected an even integer, got 15'],
    [{ hidden_size: 60 }, 'hidden_size / num_attention_heads: expected an even integer, got 15'],
    [{ hidden_size: 66 }, 'hidden_size / num_attention_heads: expected an even integer, got 16.5'],
    [{ rope_scaling: 'linear' }, 'rope_scaling: expected an object, got "linear"'],
    [{ rope_scaling: { type: 'linear' } }, 'rope_scaling.factor: expected a positive number, got nothing'],
    [
      { rope_parameters: { ...llama3, rope_type: 'llama3', low_freq_factor: '1' } },
      'rope_parameters.low_freq_factor: expected a positive number, got "1"',
    ],
    [
      { rope_parameters: { ...llama3, rope_type: 'llama3', low_freq_factor: 4 } },
      'rope_parameters.high_freq_factor: expected more than low_freq_factor, 4, got 4',
    ],
    [
      { rope_parameters: { rope_type: 'default' }, rope_scaling: { type: 'linear', factor: 2 } },
      'rope_scaling: expected the same as rope_parameters, got another scaling',
    ],
    [{ model_type: undefined }, 'model_type: expected a string, got nothing'],
  ])('refuses malformed %j', async (changes, message) => {
    expect(await failure(() => parse(changes))).toBe(`QUTLASS_E_CHECKPOINT config.json: ${message}`);
  });

  it.each([
    [{ model_type: 'mamba' }, 'model_type: expected "llama", got "mamba"'],
    [{ hidden_act: 'gelu' }, 'hidden_act: expected "silu", got "gelu"'],
    [{ dtype: 'float64' }, 'dtype: expected "bfloat16" or "float16" or "float32", got "float64"'],
    [
      { rope_scaling: { rope_type: 'yarn', factor: 4 } },
      'rope_scaling.rope_type: expected "default" or "linear" or "llama3", got "yarn"',
    ],
    [
      { rope_parameters: { rope_type: 'default', partial_rotary_factor: 0.5 } },
      'rope_parameters.partial_rotary_factor: expected 1, got 0.5',
    ],
  ])('does not support %j', async (changes, message) => {
    expect(await failure(() => parse(changes))).toBe(`QUTLASS_E_UNSUPPORTED config.json: ${message}`);
  });
});
