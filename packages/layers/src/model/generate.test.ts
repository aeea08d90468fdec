import { copyFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { device, expectNoLeak, memory, reference, tinyLlama, writeSmallModel } from '../../test/support.js';
import { failure, temporaryDirectory } from '../checkpoint/test-support.js';
import type { Tokenizer } from '../checkpoint/tokenizer.js';
import type { GeneratedToken, GenerateOptions } from './generate.js';
import { Llama } from './llama.js';

const { greedy } = await reference();
// In float32, so that the likeliest token is that of float64 on every device.
const model = await Llama.load(tinyLlama, { device, dtype: 'f32' });
const tokenizer = model.tokenizer as Tokenizer;

async function collect(
  prompt: string | readonly number[],
  options: GenerateOptions = {},
  from = model,
): Promise<GeneratedToken[]> {
  const tokens: GeneratedToken[] = [];
  for await (const token of from.generate(prompt, options)) tokens.push(token);
  return tokens;
}

const idsOf = (tokens: readonly GeneratedToken[]) => tokens.map(({ id }) => id);
const start = [...greedy.subarray(0, 16)];

describe('generate', () => {
  it('yields ids with the text that they complete', async () => {
    const text = tokenizer.decode(start);
    const tokens = await collect(text, { maxTokens: 48 });
    expect(idsOf(tokens)).toEqual([...greedy.subarray(16)]);
    const whole = tokenizer.decode(idsOf(tokens));
    expect(tokens.map((token) => token.text).join('')).toBe(whole);
    expect(tokens.filter((token) => token.text !== '').length).toBeGreaterThan(40);
  });

  it('joins the pieces of characters that span tokens', async () => {
    const options = { maxTokens: 200, temperature: 3, seed: 11, stopAtEos: false };
    const tokens = await collect(start, options);
    const shown = tokenizer.decode(idsOf(tokens), { skipSpecialTokens: true });
    expect(shown).toContain('\uFFFD');
    expect(tokens.map((token) => token.text).join('')).toBe(shown);
  });

  it('ends after maxTokens, or with the context', async () => {
    expect(await collect(start, { maxTokens: 1 })).toHaveLength(1);
    expect(await collect(start, { maxTokens: 7 })).toHaveLength(7);
    const { maxPositionEmbeddings } = model.config;
    const long = Array.from({ length: maxPositionEmbeddings - 3 }, (_, i) => 2 + (i % 1000));
    expect(await collect(long, { stopAtEos: false })).toHaveLength(3);
    expect(await collect(long, { stopAtEos: false, maxTokens: 100 })).toHaveLength(3);
  });

  it('ends at the end-of-text token', async () => {
    const ids = idsOf(await collect(start, { maxTokens: 12 }));
    const stop = ids[5] as number;
    const before = ids.indexOf(stop);
    const directory = await temporaryDirectory();
    for (const name of ['config.json', 'model.safetensors', 'tokenizer.json'])
      await symlink(join(tinyLlama, name), join(directory, name));
    await writeFile(join(directory, 'generation_config.json'), JSON.stringify({ eos_token_id: [1, stop] }));
    using stopping = await Llama.load(directory, { device, dtype: 'f32' });
    expect(idsOf(await collect(start, { maxTokens: 12 }, stopping))).toEqual(ids.slice(0, before));
    expect(idsOf(await collect(start, { maxTokens: 12, stopAtEos: false }, stopping))).toEqual(ids);
  });

  it('grows its cache without changing the text', async () => {
    // Beyond the first 256 new tokens: the cache is replaced and the step captured again.
    await expectNoLeak(async () => {
      const tokens = idsOf(await collect(start, { maxTokens: 310, stopAtEos: false }));
      const text = [...start, ...tokens];
      for (const cut of [260, 275]) {
        const again = idsOf(await collect(text.slice(0, cut), { maxTokens: 40, stopAtEos: false }));
        expect(again).toEqual(text.slice(cut, cut + 40));
      }
    });
  });

  it('repeats a sampled text with its seed, and only with it', async () => {
    const options = { maxTokens: 40, temperature: 1, stopAtEos: false };
    const first = idsOf(await collect(start, { ...options, seed: 1 }));
    expect(idsOf(await collect(start, { ...options, seed: 1 }))).toEqual(first);
    expect(idsOf(await collect(start, { ...options, seed: 2 }))).not.toEqual(first);
    expect(idsOf(await collect(start, { ...options, topK: 1, seed: 2 }))).toEqual(
      idsOf(await collect(start, { maxTokens: 40, stopAtEos: false })),
    );
  });

  it('runs several texts at a time', async () => {
    const prompts = [start, start.slice(4), start.slice(0, 5)];
    const options = { maxTokens: 20, stopAtEos: false };
    const alone: number[][] = [];
    for (const prompt of prompts) alone.push(idsOf(await collect(prompt, options)));
    const together = await Promise.all(prompts.map((prompt) => collect(prompt, options)));
    expect(together.map(idsOf)).toEqual(alone);

    const streams = prompts.map((prompt) => model.generate(prompt, options));
    const interleaved: number[][] = prompts.map(() => []);
    for (let i = 0; i < 20; ++i) {
      for (const [index, stream] of streams.entries()) {
        const { value } = await stream.next();
        if (value) interleaved[index]?.push(value.id);
      }
    }
    for (const stream of streams) await stream.return();
    expect(interleaved).toEqual(alone);
  });
});

describe('a generation that ends early', () => {
  it.each([1, 2, 5])('frees its memory after %d tokens and a break', async (count) => {
    await expectNoLeak(async () => {
      let seen = 0;
      for await (const _ of model.generate(start, { stopAtEos: false })) if (++seen === count) break;
      expect(seen).toBe(count);
    });
  });

  it('frees its memory if the caller throws, or never begins', async () => {
    await expectNoLeak(async () => {
      const run = async () => {
        for await (const _ of model.generate(start)) throw new Error('enough');
      };
      await expect(run()).rejects.toThrow('enough');
      await model.generate(start).return();
    });
  });

  it('ends with the reason of its signal', async () => {
    await expectNoLeak(async () => {
      const reason = new Error('stopped');
      await expect(collect(start, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      const controller = new AbortController();
      let seen = 0;
      const run = async () => {
        for await (const _ of model.generate(start, { signal: controller.signal, stopAtEos: false })) {
          if (++seen === 3) controller.abort(reason);
        }
      };
      await expect(run()).rejects.toBe(reason);
      expect(seen).toBe(3);
      await expect(collect(start, { signal: AbortSignal.timeout(30), stopAtEos: false })).rejects.toThrow(
        expect.objectContaining({ name: 'TimeoutError' }),
      );
    });
  });

  it('fails if the model is disposed meanwhile', async () => {
    await expectNoLeak(async () => {
      const short = await Llama.load(tinyLlama, { device });
      const tokens = short.generate(start, { stopAtEos: false });
      await tokens.next();
      short.dispose();
      expect(await failure(() => tokens.next())).toBe(
        'QUTLASS_E_DISPOSED Llama: disposed while it generates',
      );
    });
  });
});

describe('what generate refuses', () => {
  it.each<[string | number[], GenerateOptions, string]>([
    [[], {}, 'QUTLASS_E_ARGUMENT prompt: expected at least one token, got none'],
    ['', {}, 'QUTLASS_E_ARGUMENT prompt: expected at least one token, got none'],
    [[5, 1024], {}, 'QUTLASS_E_ARGUMENT prompt[1]: expected a token id from 0 to 1023, got 1024'],
    [[-1], {}, 'QUTLASS_E_ARGUMENT prompt[0]: expected a token id from 0 to 1023, got -1'],
    [[1.5], {}, 'QUTLASS_E_ARGUMENT prompt[0]: expected a token id from 0 to 1023, got 1.5'],
    [[5], { maxTokens: 0 }, 'QUTLASS_E_ARGUMENT maxTokens: expected a positive integer, got 0'],
    [[5], { maxTokens: 1.5 }, 'QUTLASS_E_ARGUMENT maxTokens: expected a positive integer, got 1.5'],
    [
      [5],
      { temperature: -1 },
      'QUTLASS_E_ARGUMENT temperature: expected a finite number of at least 0, got -1',
    ],
    [[5], { topK: 0.5 }, 'QUTLASS_E_ARGUMENT topK: expected an integer from 0 to 2147483647, got 0.5'],
    [[5], { topP: 0 }, 'QUTLASS_E_ARGUMENT topP: expected a number above 0, at most 1, got 0'],
    [[5], { topP: Number.NaN }, 'QUTLASS_E_ARGUMENT topP: expected a number above 0, at most 1, got NaN'],
    [[5], { seed: -1 }, 'QUTLASS_E_ARGUMENT seed: expected a non-negative integer, got -1'],
  ])('%j with %j', async (prompt, options, message) => {
    await expectNoLeak(async () => expect(await failure(() => collect(prompt, options))).toBe(message));
  });

  it('a prompt that fills the context', async () => {
    const prompt = new Array<number>(1024).fill(5);
    expect(await failure(() => collect(prompt))).toBe(
      'QUTLASS_E_SHAPE prompt: expected fewer than 1024 tokens, got 1024',
    );
  });

  it('a text without a tokenizer, but not ids', async () => {
    const directory = await temporaryDirectory();
    await writeSmallModel(directory);
    using plain = await Llama.load(directory, { device });
    expect(plain.tokenizer).toBeUndefined();
    expect(await failure(() => collect('x', {}, plain))).toBe(
      'QUTLASS_E_ARGUMENT prompt: expected token ids, as the model has no tokenizer, got a text',
    );
    const tokens = await collect([1, 2], { maxTokens: 3 }, plain);
    expect(tokens.map(({ text }) => text)).toEqual(['', '', '']);
    expect(await collect([1, 2], {}, plain)).toHaveLength(62);
  });
});

it('a tokenizer with tokens that the model lacks is refused', async () => {
  const directory = await temporaryDirectory();
  await writeSmallModel(directory);
  await copyFile(join(tinyLlama, 'tokenizer.json'), join(directory, 'tokenizer.json'));
  const { allocations } = await memory();
  expect(await failure(() => Llama.load(directory, { device }))).toBe(
    `QUTLASS_E_CHECKPOINT ${directory}/tokenizer.json: expected token ids below the model's vocab_size, 48, got 1023`,
  );
  expect((await memory()).allocations).toBe(allocations);
});
