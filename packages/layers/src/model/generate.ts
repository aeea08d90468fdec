import { invalidArgument, QutlassError, type SamplingOptions, unscoped } from '@qutlass/core-kernels';
import { DecodeStep } from './decode-step.js';
import type { Llama } from './llama.js';
import { requireTokenIds } from './token-ids.js';

export interface GenerateOptions extends SamplingOptions {
  /** Tokens at most; default: until the end-of-text token or the end of the context. */
  maxTokens?: number;
  /** Ends with the signal's reason. */
  signal?: AbortSignal;
  /** Stop at an end-of-text token, which is not yielded. Default true. */
  stopAtEos?: boolean;
}

export interface GeneratedToken {
  readonly id: number;
  /** The text that the token completes; empty without a tokenizer, or while a character is incomplete. */
  readonly text: string;
}

/** See {@link Llama.generate}. */
export async function* generate(
  model: Llama,
  prompt: string | readonly number[],
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, void> {
  const { signal, stopAtEos = true } = options;
  const ids = promptIds(model, prompt);
  const limit = requireContext(model, ids.length, options.maxTokens);
  requireSampling(options);
  const decoder = model.tokenizer?.createDecoder({ skipSpecialTokens: true });
  signal?.throwIfAborted();
  using step = unscoped(() => new DecodeStep(model, ids.length, limit, options));
  step.prefill(ids);
  for (let length = ids.length; length < limit; ++length) {
    // The captured graph keeps the weights alive, so it would not notice.
    if (model.disposed) throw new QutlassError('QUTLASS_E_DISPOSED', 'Llama: disposed while it generates');
    const last = length + 1 === limit;
    const newest = step.token();
    // The next step takes the token from device memory, and does not wait for the host to have seen it.
    if (!last) advance(step, newest);
    const id = await newest;
    signal?.throwIfAborted();
    if (stopAtEos && model.config.eosTokenIds.includes(id)) return;
    const text = decoder?.push(id) ?? '';
    yield { id, text: last ? text + (decoder?.end() ?? '') : text };
    signal?.throwIfAborted();
  }
}

/** Begins the next step; where that fails, nobody waits for the token any more. */
function advance(step: DecodeStep, newest: Promise<number>): void {
  try {
    step.advance();
  } catch (error) {
    newest.catch(() => {});
    throw error;
  }
}

function promptIds({ tokenizer, config }: Llama, prompt: string | readonly number[]): readonly number[] {
  let ids: readonly number[];
  if (typeof prompt !== 'string') ids = prompt;
  else if (tokenizer) ids = tokenizer.encode(prompt);
  else {
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      'prompt',
      'token ids, as the model has no tokenizer',
      'a text',
    );
  }
  if (ids.length === 0) throw invalidArgument('QUTLASS_E_ARGUMENT', 'prompt', 'at least one token', 'none');
  requireTokenIds('prompt', ids, config.vocabSize);
  return ids;
}

/** The length at which the text ends: the prompt and the new tokens, within the context of the model. */
function requireContext(model: Llama, promptLength: number, maxTokens = Number.POSITIVE_INFINITY): number {
  const { maxPositionEmbeddings } = model.config;
  if (promptLength >= maxPositionEmbeddings) {
    throw invalidArgument(
      'QUTLASS_E_SHAPE',
      'prompt',
      `fewer than ${maxPositionEmbeddings} tokens`,
      `${promptLength}`,
    );
  }
  if (maxTokens !== Number.POSITIVE_INFINITY && (!Number.isInteger(maxTokens) || maxTokens < 1)) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'maxTokens', 'a positive integer', String(maxTokens));
  }
  return Math.min(promptLength + maxTokens, maxPositionEmbeddings);
}

/** Checks the numbers before any work is enqueued. */
function requireSampling({ temperature = 0, topK = 0, topP = 1, seed = 0 }: SamplingOptions): void {
  const check = (name: string, value: number, valid: boolean, expected: string) => {
    if (!valid) throw invalidArgument('QUTLASS_E_ARGUMENT', name, expected, String(value));
  };
  check(
    'temperature',
    temperature,
    Number.isFinite(temperature) && temperature >= 0,
    'a finite number of at least 0',
  );
  check(
    'topK',
    topK,
    Number.isInteger(topK) && topK >= 0 && topK < 2 ** 31,
    'an integer from 0 to 2147483647',
  );
  check('topP', topP, topP > 0 && topP <= 1, 'a number above 0, at most 1');
  check('seed', seed, Number.isSafeInteger(seed) && seed >= 0, 'a non-negative integer');
}
