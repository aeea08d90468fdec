import { invalidArgument, type SamplingOptions, unscoped } from '@qutlass/core-kernels';
import { DecodeStep } from './decode-step.js';
import type { Llama } from './llama.js';

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
  const capacity = requireContext(model, ids.length, options.maxTokens);
  const decoder = model.tokenizer?.createDecoder({ skipSpecialTokens: true });
  signal?.throwIfAborted();
  using step = unscoped(() => new DecodeStep(model, capacity, options));
  step.prefill(ids);
  for (let length = ids.length; length < capacity; ++length) {
    const id = await step.token();
    signal?.throwIfAborted();
    if (stopAtEos && model.config.eosTokenIds.includes(id)) return;
    const last = length + 1 === capacity;
    // The next step runs while the caller handles this token.
    if (!last) step.advance();
    const text = decoder?.push(id) ?? '';
    yield { id, text: last ? text + (decoder?.end() ?? '') : text };
    signal?.throwIfAborted();
  }
}

function promptIds(model: Llama, prompt: string | readonly number[]): readonly number[] {
  if (typeof prompt === 'string' && !model.tokenizer) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'prompt', 'token ids, as the model has no tokenizer', 'a text');
  }
  const ids = typeof prompt === 'string' ? model.tokenizer!.encode(prompt) : prompt;
  if (ids.length === 0) throw invalidArgument('QUTLASS_E_ARGUMENT', 'prompt', 'at least one token', 'none');
  const { vocabSize } = model.config;
  const outside = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (outside !== undefined) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'prompt', `token ids from 0 to ${vocabSize - 1}`, String(outside));
  }
  return ids;
}

/** Positions that the cache needs: the prompt and the new tokens, within the context of the model. */
function requireContext(model: Llama, promptLength: number, maxTokens = Number.POSITIVE_INFINITY): number {
  const { maxPositionEmbeddings } = model.config;
  if (promptLength >= maxPositionEmbeddings) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'prompt', `fewer than ${maxPositionEmbeddings} tokens`, `${promptLength}`);
  }
  if (maxTokens !== Number.POSITIVE_INFINITY && (!Number.isInteger(maxTokens) || maxTokens < 1)) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'maxTokens', 'a positive integer', String(maxTokens));
  }
  return Math.min(promptLength + maxTokens, maxPositionEmbeddings);
}
