import { type Device, invalidArgument } from '@qutlass/core-kernels';
import {
  type Evaluation,
  evaluate,
  Linear,
  Llama,
  QuantLinear,
  quantizeModel,
  RMSNorm,
} from '@qutlass/layers';
import { ELEMENTS, type Format } from '@qutlass/quant';
import type { ModelRow, TextSample } from '../results/types.js';
import { mean, type Spread, standardError, summarize } from '../statistics.js';
import { timeGeneration } from '../timing/generation.js';
import type { Variant } from './variants.js';

/** Tokens of the context before decoding is timed. */
const CONTEXT = 32;

export interface MeasureOptions {
  device: Device;
  /** The text, as token ids; at least 2. */
  ids: Int32Array;
  /** Tokens that see each other in the evaluation. */
  window: number;
  /** Evaluations of a model whose activations have 4 bits; see {@link measureLoss}. */
  roundings: number;
  decode: { rounds: number; tokens: number };
  /** Continue this prompt greedily as well. */
  sample?: { prompt: string; tokens: number };
  signal?: AbortSignal;
  onProgress?: (text: string) => void;
}

export interface Measurement {
  row: ModelRow;
  sample?: TextSample;
}

/** What earlier measurements and other implementations say. */
export interface KnownLosses {
  /** Of the unquantized model; null if this is it. */
  unquantized: number | null;
  /** Of this variant. */
  expected: number | null;
}

/**
 * Loads the model, quantizes it as the variant says, and measures loss and speed. The loss is that of float32 activations
 * and so the same on every device; the speed is that of the device's own dtype.
 * @throws QutlassError `QUTLASS_E_CHECKPOINT`; `QUTLASS_E_ARGUMENT` if the checkpoint is quantized already
 */
export async function measureVariant(
  directory: string,
  variant: Variant,
  { device, ids, window, roundings, decode, sample, signal, onProgress }: MeasureOptions,
  known: KnownLosses,
): Promise<Measurement> {
  const abort = signal ? { signal } : {};
  const { weights: format, rotation, activations } = variant;
  const load = async (dtype?: 'f32') => {
    const model = await Llama.load(directory, { device, ...(dtype && { dtype }) });
    try {
      const recipe = format && { format, activations: activations ?? null, ...(rotation && { rotation }) };
      const weights = denseDType(model);
      if (recipe) await quantizeModel(model, recipe, abort);
      return { model, weights };
    } catch (error) {
      model.dispose();
      throw error;
    }
  };
  const { model: exact, weights: dtype } = await load('f32');
  using model = exact;
  const { mean: loss, error: lossError } = await measureLoss(model, activations, roundings, (run) =>
    evaluate(model, ids, {
      ...abort,
      window,
      onProgress: ({ done, total }) => onProgress?.(`${run}${done} of ${total} tokens`),
    }),
  );
  onProgress?.('decoding');
  const speed = async () => {
    if (device.kind === 'cpu') return decodeSpeed(model, ids, decode, signal);
    const own = await load();
    using fast = own.model;
    return await decodeSpeed(fast, ids, decode, signal);
  };
  const row: ModelRow = {
    weights: format?.name ?? dtype,
    rotation: rotation?.toString() ?? null,
    activations: activations?.name ?? null,
    bitsPerWeight: bitsPerWeight(model),
    bytes: model.byteLength,
    loss,
    lossError,
    perplexity: Math.exp(loss),
    lossIncrease: loss - (known.unquantized ?? loss),
    expectedLoss: known.expected,
    tokensPerSecond: await speed(),
  };
  if (!sample || !model.tokenizer) return { row };
  const text = await continuation(model, sample, signal);
  return { row, sample: { weights: row.weights, prompt: sample.prompt, text } };
}

/** Relative steps of epsilon from one evaluation to the next: norms move by as much as float32 rounds. */
const EPS_STEP = 1e-3;

/**
 * The loss of a model, and the standard error of that figure. Four bits for activations make a model chaotic: a difference
 * in the last place of a float32 sum, as between two orders of adding, puts some of them on the other side of a rounding
 * step, and the loss comes out a few thousandths higher or lower. Therefore such a model is evaluated `roundings` times with
 * differences of that size, and the mean, which does not depend on the order of sums, is its loss.
 */
async function measureLoss(
  model: Llama,
  activations: Format | undefined,
  roundings: number,
  run: (label: string) => Promise<Evaluation>,
): Promise<{ mean: number; error: number }> {
  if (!activations || ELEMENTS[activations.element].bits > 4) return { mean: (await run('')).loss, error: 0 };
  const norms = [...model.modules()]
    .map(([, module]) => module)
    .filter((module) => module instanceof RMSNorm);
  const given = norms.map(({ eps }) => eps);
  const losses: number[] = [];
  for (let index = 0; index < roundings; ++index) {
    for (const [i, norm] of norms.entries()) norm.eps = given[i]! * (1 + index * EPS_STEP);
    losses.push((await run(`evaluation ${index + 1} of ${roundings}, `)).loss);
  }
  for (const [i, norm] of norms.entries()) norm.eps = given[i]!;
  return { mean: mean(losses), error: standardError(losses) };
}

/** Linear layers but the head, which the default recipe leaves alone. */
function* projections(model: Llama): Generator<Linear | QuantLinear> {
  for (const [path, module] of model.modules()) {
    if (path !== 'lm_head' && (module instanceof Linear || module instanceof QuantLinear)) yield module;
  }
}

function denseDType(model: Llama): string {
  for (const layer of projections(model)) {
    if (layer instanceof Linear) return layer.weight.dtype;
  }
  throw invalidArgument(
    'QUTLASS_E_ARGUMENT',
    'model',
    'dense linear layers to quantize',
    'a quantized checkpoint',
  );
}

function bitsPerWeight(model: Llama): number {
  let bytes = 0;
  let elements = 0;
  for (const { weight, inFeatures, outFeatures } of projections(model)) {
    bytes += weight.byteLength;
    elements += inFeatures * outFeatures;
  }
  return (8 * bytes) / elements;
}

/** Tokens per second from the first new token to the last, after one round to warm up. */
async function decodeSpeed(
  model: Llama,
  ids: Int32Array,
  { rounds, tokens }: MeasureOptions['decode'],
  signal: AbortSignal | undefined,
): Promise<Spread> {
  const prompt = [...ids.subarray(0, CONTEXT)];
  const speeds: number[] = [];
  for (let round = 0; round <= rounds; ++round) {
    const speed = await timeGeneration(model, prompt, tokens, signal);
    if (round > 0) speeds.push(speed);
  }
  return summarize(speeds);
}

async function continuation(
  model: Llama,
  { prompt, tokens }: { prompt: string; tokens: number },
  signal: AbortSignal | undefined,
): Promise<string> {
  let text = '';
  for await (const token of model.generate(prompt, { maxTokens: tokens, ...(signal && { signal }) })) {
    text += token.text;
  }
  return text;
}
