import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { QutlassError } from '@qutlass/core-kernels';
import { z } from 'zod';
import { checkpointError, show } from './errors.js';
import { exists } from './file-io.js';
import { isJsonObject, type JsonObject, readJsonObject } from './json-file.js';
import type { RopeScaling } from './rope.js';

/** Architectures that can be built, by `model_type`. */
export const SUPPORTED_MODEL_TYPES: readonly string[] = ['llama'];

const DTYPES = { bfloat16: 'bf16', float16: 'f16', float32: 'f32' } as const;
const DEFAULT_ROPE_THETA = 10_000;

/** The hyperparameters of a Llama model. Sizes count elements. */
export interface LlamaConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Divides `numHeads`. */
  readonly numKvHeads: number;
  /** Even. */
  readonly headDim: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  readonly maxPositionEmbeddings: number;
  readonly tieWordEmbeddings: boolean;
  readonly bosTokenId: number | null;
  /** Any of them ends a text. */
  readonly eosTokenIds: readonly number[];
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  /** What the weights were saved as, unless they are quantized. */
  readonly dtype: (typeof DTYPES)[keyof typeof DTYPES];
}

const positiveInteger = integer('a positive integer', 1);
const tokenId = integer('a token id', 0);
const flag = z.boolean('true or false');
const positiveNumber = z.number('a positive number').positive('a positive number');
const eosTokenId = z.union([tokenId, z.array(tokenId)], 'a token id or an array of them').nullable();

// Keys that may be absent have the defaults of Hugging Face's LlamaConfig.
const llamaSchema = z.object({
  vocab_size: positiveInteger,
  hidden_size: positiveInteger,
  intermediate_size: positiveInteger,
  num_hidden_layers: positiveInteger,
  num_attention_heads: positiveInteger,
  num_key_value_heads: positiveInteger.nullish(),
  head_dim: positiveInteger.nullish(),
  hidden_act: z.string('a string').default('silu'),
  rms_norm_eps: positiveNumber.default(1e-6),
  max_position_embeddings: positiveInteger.default(2048),
  tie_word_embeddings: flag.default(false),
  bos_token_id: tokenId.nullable().default(1),
  eos_token_id: eosTokenId.default(2),
  attention_bias: flag.default(false),
  mlp_bias: flag.default(false),
  rope_theta: positiveNumber.nullish(),
  rope_scaling: z.looseObject({}, 'an object').nullish(),
  rope_parameters: z.looseObject({}, 'an object').nullish(),
  dtype: z.string('a string').nullish(),
  torch_dtype: z.string('a string').nullish(),
});

const ropeSchema = z.object({
  rope_type: z.string('a string').optional(),
  type: z.string('a string').optional(),
  rope_theta: positiveNumber.optional(),
  partial_rotary_factor: positiveNumber.default(1),
});
const linearSchema = z.object({ factor: positiveNumber });
const llama3Schema = z.object({
  factor: positiveNumber,
  low_freq_factor: positiveNumber,
  high_freq_factor: positiveNumber,
  original_max_position_embeddings: positiveInteger,
});

/**
 * Reads `config.json` of a model directory. If there is a `generation_config.json`, its end-of-text tokens count,
 * as they do in Hugging Face's generation.
 *
 * @throws QutlassError QUTLASS_E_CHECKPOINT if a file is missing or malformed, QUTLASS_E_UNSUPPORTED if the model is of
 * a kind that cannot be built
 */
export async function readLlamaConfig(directory: string): Promise<LlamaConfig> {
  const path = join(directory, 'config.json');
  const config = parseLlamaConfig(await readJsonObject(path), path);
  const generationPath = join(directory, 'generation_config.json');
  if (!(await exists(generationPath))) return config;
  const generationSchema = z.object({ eos_token_id: eosTokenId.optional() });
  const generation = validate(generationSchema, await readJsonObject(generationPath), generationPath);
  if (generation.eos_token_id === undefined) return config;
  return { ...config, eosTokenIds: asArray(generation.eos_token_id) };
}

/**
 * The content of a `config.json`, with the rotary embedding in the older form (`rope_theta`, `rope_scaling`) or the
 * newer one (`rope_parameters`).
 *
 * @param source the file's name, for error messages
 * @throws QutlassError as {@link readLlamaConfig}
 */
export function parseLlamaConfig(json: JsonObject, source: string): LlamaConfig {
  requireSupportedModelType(json.model_type, source);
  const raw = validate(llamaSchema, json, source);
  if (raw.hidden_act !== 'silu') throw unsupported(source, 'hidden_act', ['silu'], raw.hidden_act);
  const numHeads = raw.num_attention_heads;
  const numKvHeads = raw.num_key_value_heads ?? numHeads;
  if (numHeads % numKvHeads !== 0) {
    throw checkpointError(
      source,
      `num_key_value_heads: expected a divisor of num_attention_heads, ${numHeads}, got ${numKvHeads}`,
    );
  }
  const headDim = raw.head_dim ?? raw.hidden_size / numHeads;
  if (headDim % 2 !== 0) {
    const origin = raw.head_dim ? 'head_dim' : 'hidden_size / num_attention_heads';
    throw checkpointError(source, `${origin}: expected an even integer, got ${headDim}`);
  }
  return {
    vocabSize: raw.vocab_size,
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    numLayers: raw.num_hidden_layers,
    numHeads,
    numKvHeads,
    headDim,
    rmsNormEps: raw.rms_norm_eps,
    ...parseRope(raw, source),
    maxPositionEmbeddings: raw.max_position_embeddings,
    tieWordEmbeddings: raw.tie_word_embeddings,
    bosTokenId: raw.bos_token_id,
    eosTokenIds: asArray(raw.eos_token_id),
    attentionBias: raw.attention_bias,
    mlpBias: raw.mlp_bias,
    dtype: parseDtype(raw.dtype ?? raw.torch_dtype ?? 'float32', source),
  };
}

function requireSupportedModelType(modelType: unknown, source: string): void {
  if (typeof modelType !== 'string') {
    throw checkpointError(source, `model_type: expected a string, got ${show(modelType)}`);
  }
  if (!SUPPORTED_MODEL_TYPES.includes(modelType)) {
    throw unsupported(source, 'model_type', SUPPORTED_MODEL_TYPES, modelType);
  }
}

type Rope = Pick<LlamaConfig, 'ropeTheta' | 'ropeScaling'>;

function parseRope(raw: z.infer<typeof llamaSchema>, source: string): Rope {
  const { rope_parameters: newer, rope_scaling: older } = raw;
  const theta = raw.rope_theta ?? DEFAULT_ROPE_THETA;
  const rope = parseRopeObject(
    newer ?? older ?? {},
    theta,
    source,
    newer ? 'rope_parameters' : 'rope_scaling',
  );
  if (
    newer &&
    older &&
    !isDeepStrictEqual(parseRopeObject(older, rope.ropeTheta, source, 'rope_scaling'), rope)
  ) {
    throw checkpointError(source, 'rope_scaling: expected the same as rope_parameters, got another scaling');
  }
  return rope;
}

function parseRopeObject(json: JsonObject, theta: number, source: string, key: string): Rope {
  const raw = validate(ropeSchema, json, source, key);
  if (raw.partial_rotary_factor !== 1) {
    throw unsupported(source, `${key}.partial_rotary_factor`, [1], raw.partial_rotary_factor);
  }
  const ropeTheta = raw.rope_theta ?? theta;
  const ropeType = raw.rope_type ?? raw.type ?? 'default';
  switch (ropeType) {
    case 'default':
      return { ropeTheta, ropeScaling: { type: 'default' } };
    case 'linear': {
      const { factor } = validate(linearSchema, json, source, key);
      return { ropeTheta, ropeScaling: { type: 'linear', factor } };
    }
    case 'llama3':
      return { ropeTheta, ropeScaling: parseLlama3Scaling(json, source, key) };
    default:
      throw unsupported(source, `${key}.rope_type`, ['default', 'linear', 'llama3'], ropeType);
  }
}

function parseLlama3Scaling(json: JsonObject, source: string, key: string): RopeScaling {
  const raw = validate(llama3Schema, json, source, key);
  if (raw.high_freq_factor <= raw.low_freq_factor) {
    throw checkpointError(
      source,
      `${key}.high_freq_factor: expected more than low_freq_factor, ${raw.low_freq_factor}, got ${raw.high_freq_factor}`,
    );
  }
  return {
    type: 'llama3',
    factor: raw.factor,
    lowFreqFactor: raw.low_freq_factor,
    highFreqFactor: raw.high_freq_factor,
    originalMaxPositionEmbeddings: raw.original_max_position_embeddings,
  };
}

function parseDtype(name: string, source: string): LlamaConfig['dtype'] {
  if (!Object.hasOwn(DTYPES, name)) throw unsupported(source, 'dtype', Object.keys(DTYPES), name);
  return DTYPES[name as keyof typeof DTYPES];
}

/**
 * The data of `json`; the messages of the schema say what was expected.
 *
 * @param key where in the file `json` is, if it is not the whole
 * @throws QutlassError QUTLASS_E_CHECKPOINT
 */
export function validate<S extends z.ZodType>(
  schema: S,
  json: JsonObject,
  source: string,
  key?: string,
): z.infer<S> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0] as z.core.$ZodIssue;
  const path = key === undefined ? issue.path : [key, ...issue.path];
  throw checkpointError(
    source,
    `${path.join('.')}: expected ${issue.message}, got ${show(valueAt(json, issue.path))}`,
  );
}

function valueAt(json: JsonObject, path: readonly PropertyKey[]): unknown {
  const step = (value: unknown, key: PropertyKey) =>
    isJsonObject(value) || Array.isArray(value) ? (value as JsonObject)[String(key)] : undefined;
  return path.reduce(step, json);
}

function integer(expected: string, minimum: number) {
  return z.int(expected).min(minimum, expected);
}

function asArray(ids: number | readonly number[] | null): readonly number[] {
  if (ids === null) return [];
  return typeof ids === 'number' ? [ids] : ids;
}

function unsupported(
  source: string,
  key: string,
  supported: readonly (string | number)[],
  got: unknown,
): QutlassError {
  const expected = supported.map((value) => show(value)).join(' or ');
  return new QutlassError(
    'QUTLASS_E_UNSUPPORTED',
    `${source}: ${key}: expected ${expected}, got ${show(got)}`,
  );
}
