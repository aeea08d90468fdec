import type { Llama } from '@qutlass/layers';

/** Tokens per second of one run of `Llama.generate`, from the first new token to the last. */
export async function timeGeneration(
  model: Llama,
  prompt: readonly number[],
  maxTokens: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  let first: number | undefined;
  let count = 0;
  for await (const _token of model.generate(prompt, {
    maxTokens,
    stopAtEos: false,
    ...(signal && { signal }),
  })) {
    first ??= performance.now();
    ++count;
  }
  return (1000 * (count - 1)) / (performance.now() - first!);
}
