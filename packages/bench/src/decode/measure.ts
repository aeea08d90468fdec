import { Graph, QutlassError, Resource, sample, scope, Tensor } from '@qutlass/core-kernels';
import type { KVCache, Llama } from '@qutlass/layers';
import { denseDType } from '../gemm/operands.js';
import { type Variant, variantName } from '../model/variants.js';
import { modelConfig } from '../models.js';
import { shuffled, uniform } from '../random.js';
import type { DecodeRow, Limits } from '../results/types.js';
import { perSecond, type Spread, summarize } from '../statistics.js';
import type { Contender } from '../timing/clock.js';
import { timeGeneration } from '../timing/generation.js';
import { type Sampled, sampleInterleaved } from '../timing/sampling.js';
import { samplingOf, type TimingOptions } from '../timing/settings.js';
import { createRandomLlama } from './random-model.js';
import { bytesPerToken, stepBytes } from './roofline.js';

/** Share of the device's memory that two models may take to be measured in the same rounds. */
const MEMORY_SHARE = 0.8;

/** New tokens of one run of `Llama.generate`, and such runs. */
const GENERATE = { full: { tokens: 64, runs: 5 }, quick: { tokens: 16, runs: 3 } } as const;

export interface DecodeOptions extends TimingOptions {
  limits: Limits;
  /** Name of a configuration. */
  model: string;
  /** Fewer layers than the model has. */
  layers?: number | undefined;
  /** Tokens of the prompt. */
  context: number;
  variants: readonly Variant[];
  /** Measured one after the other, where they differ. */
  heads: readonly Head[];
}

/** The head as it was, or in the format of the layers. */
export type Head = 'dense' | 'same';

/** A model to measure. */
interface Candidate {
  readonly variant: Variant;
  readonly head: Head;
}

function candidateName({ variant, head }: Candidate): string {
  return variant.weights ? `${variantName(variant)}, ${head} head` : variantName(variant);
}

/**
 * Measures models with random weights: running a prompt, and decoding one sequence after it. The dense model is measured in
 * the same rounds where both fit the memory. A format in which the model does not fit is left out.
 * @throws QutlassError `QUTLASS_E_OUT_OF_MEMORY` if none fits; `QUTLASS_E_ARGUMENT` for an unknown model
 */
export async function measureDecode(options: DecodeOptions): Promise<DecodeRow[]> {
  const { variants, heads } = options;
  const candidates = variants.flatMap((variant): Candidate[] =>
    // A dense model has a dense head.
    variant.weights ? heads.map((head) => ({ variant, head })) : [{ variant, head: 'dense' }],
  );
  const needsBaseline = variants.some(({ weights }) => weights) && fitsTwice(options);
  const dense: Candidate = { variant: { weights: null }, head: 'dense' };
  using baseline = needsBaseline ? await buildContext(dense, options) : undefined;
  const rows: DecodeRow[] = [];
  const tooLarge: QutlassError[] = [];
  for (const candidate of candidates) {
    try {
      rows.push(await measureCandidate(candidate, baseline, options));
    } catch (error) {
      if (!(error instanceof QutlassError) || error.code !== 'QUTLASS_E_OUT_OF_MEMORY') throw error;
      tooLarge.push(error);
      options.progress?.step(`${options.model} ${candidateName(candidate)}: does not fit, left out`);
    }
  }
  if (rows.length === 0 && tooLarge[0]) throw tooLarge[0];
  return rows;
}

/** Whether the dense model and another one, at most as large, can be in memory together. */
function fitsTwice({ device, model, layers }: DecodeOptions): boolean {
  const { hiddenSize, intermediateSize, numLayers, numHeads, numKvHeads, headDim, vocabSize } = modelConfig(
    model,
    layers,
  );
  const attention = 2 * hiddenSize * (numHeads + numKvHeads) * headDim;
  const parameters = numLayers * (attention + 3 * hiddenSize * intermediateSize) + 2 * vocabSize * hiddenSize;
  const bytes = device.kind === 'cpu' ? 4 : 2;
  return 2 * parameters * bytes < MEMORY_SHARE * device.info.memoryBytes;
}

async function measureCandidate(
  candidate: Candidate,
  baseline: DecodeContext | undefined,
  options: DecodeOptions,
): Promise<DecodeRow> {
  const { device, context, limits, progress } = options;
  const { variant, head } = candidate;
  const name = `${options.model} ${candidateName(candidate)}`;
  using own = await buildContext(candidate, options);
  const contexts = baseline ? [baseline, own] : [own];
  const time = async (contenderOf: (context: DecodeContext) => Contender): Promise<Sampled> =>
    (await sampleInterleaved(contexts.map(contenderOf), samplingOf(options))).at(-1)!;
  progress?.step(`${name}: prefill`);
  const prefill = await time((one) => ({ enqueue: () => one.prefill() }));
  progress?.step(`${name}: decode`);
  const decode = await time((one) => ({ enqueue: () => one.decode() }));
  const { model } = own;
  const step = stepBytes(model, context);
  const bytes = bytesPerToken(step);
  const roofline = limits.readBandwidth.median / bytes;
  const tokensPerSecond = perSecond(decode.seconds, 1);
  const format = variant.weights?.name ?? denseDType(device);
  return {
    model: options.model,
    layers: model.config.numLayers,
    weights: format,
    activations: variant.activations?.name ?? null,
    rotation: variant.rotation?.toString() ?? null,
    head: head === 'same' ? format : denseDType(device),
    bytes: model.byteLength,
    context,
    prefillTokensPerSecond: perSecond(prefill.seconds, context),
    tokensPerSecond,
    generatedTokensPerSecond: await generateSpeed(model, own.ids, options),
    bytesPerToken: bytes,
    step: { ...step, operations: own.operations, restSeconds: decode.seconds.median - 1 / roofline },
    rooflineTokensPerSecond: roofline,
    rooflineFraction: tokensPerSecond.median / roofline,
    speedup: baseline ? decode.speedup : null,
  };
}

/** A model after a prompt. */
class DecodeContext extends Resource {
  readonly model: Llama;
  readonly ids: readonly number[];
  readonly #cache: KVCache;
  readonly #prompt: Tensor<'i32'>;
  readonly #promptPositions: Tensor<'i32'>;
  readonly #token: Tensor<'i32'>;
  readonly #position: Tensor<'i32'>;

  constructor(model: Llama, ids: readonly number[]) {
    const { device } = model;
    const state = scope(() => {
      const integers = (values: readonly number[]) =>
        Tensor.from(Int32Array.from(values), { shape: [values.length], dtype: 'i32', device });
      return {
        cache: model.createCache(ids.length + 1),
        prompt: integers(ids),
        promptPositions: integers(ids.map((_, index) => index)),
        token: integers([ids.at(-1)!]),
        position: integers([ids.length]),
      };
    });
    super();
    this.model = model;
    this.ids = ids;
    this.#cache = state.cache;
    this.#prompt = state.prompt;
    this.#promptPositions = state.promptPositions;
    this.#token = state.token;
    this.#position = state.position;
    this.#cache.advance(ids.length + 1);
  }

  /** Runs the prompt; every time the same, as the positions say. */
  prefill(): void {
    const options = { cache: this.#cache, positions: this.#promptPositions, lastOnly: true };
    this.model.forward(this.#prompt, options).dispose();
  }

  /** One step after the prompt, with the choice of the next token. */
  decode(): void {
    using logits = this.model.forward(this.#token, { cache: this.#cache, positions: this.#position });
    sample(logits, this.#position).dispose();
  }

  /** Operations of one step. */
  get operations(): number {
    using graph = Graph.capture(this.model.device, () => this.decode());
    return graph.size;
  }

  override owned(): Iterable<Resource> {
    return [this.model, this.#cache, this.#prompt, this.#promptPositions, this.#token, this.#position];
  }

  protected release(): void {
    for (const resource of this.owned()) resource.dispose();
  }
}

async function buildContext(candidate: Candidate, options: DecodeOptions): Promise<DecodeContext> {
  const { device, context, signal, progress } = options;
  const config = modelConfig(options.model, options.layers);
  progress?.step(`${options.model} ${candidateName(candidate)}: random weights`);
  const model = await createRandomLlama(config, candidate.variant, device, {
    quantizeHead: candidate.head === 'same',
    signal,
    onLayer: (index) => progress?.detail(`layer ${index + 1} of ${config.numLayers}`),
  });
  try {
    return new DecodeContext(model, randomIds(context, config.vocabSize));
  } catch (error) {
    model.dispose();
    throw error;
  }
}

function randomIds(count: number, vocabSize: number): number[] {
  const order = shuffled(vocabSize, uniform(0));
  return Array.from({ length: count }, (_, index) => order[index % vocabSize]!);
}

/** Tokens per second from the first new token to the last, after one run to warm up. */
async function generateSpeed(
  model: Llama,
  ids: readonly number[],
  { quick, signal }: DecodeOptions,
): Promise<Spread> {
  const { tokens, runs } = GENERATE[quick ? 'quick' : 'full'];
  const speeds: number[] = [];
  for (let run = 0; run <= runs; ++run) speeds.push(await timeGeneration(model, ids, tokens, signal));
  return summarize(speeds.slice(1));
}
