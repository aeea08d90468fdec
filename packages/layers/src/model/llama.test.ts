import { Tensor } from '@qutlass/core-kernels';
import { onCpu } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  device,
  expectNoLeak,
  FLOAT32_LOGITS,
  ids,
  logitsOf,
  reference,
  tinyLlama,
} from '../../test/support.js';
import { failure } from '../checkpoint/test-support.js';
import { Llama } from './llama.js';

const { prompt, greedy, promptLogits } = await reference();
const models = {
  f32: await Llama.load(tinyLlama, { device, dtype: 'f32' }),
  bf16: await Llama.load(tinyLlama, { device, dtype: 'bf16' }),
};

/** The token after each row of logits [M, vocabulary]. */
function argmax(logits: Float32Array, vocabulary = 1024): number[] {
  return Array.from({ length: logits.length / vocabulary }, (_, row) => {
    const values = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    return values.indexOf(Math.max(...values));
  });
}

function maxDifference(a: Float32Array, b: Float32Array): number {
  expect(a).toHaveLength(b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);
}

describe('the logits of tiny-llama', () => {
  it('with float32 activations are the float64 ones but for rounding', async () => {
    const logits = await logitsOf(models.f32, prompt);
    for (const [i, exact] of promptLogits.entries()) {
      expect(Math.abs((logits[i] as number) - exact)).toBeLessThanOrEqual(
        2 ** -16 * Math.abs(exact) + FLOAT32_LOGITS,
      );
    }
  });

  it('with bfloat16 activations stay close', async () => {
    const logits = await logitsOf(models.bf16, prompt);
    // Activations are rounded to 8 bits some 30 times on the way; a logit of 16 to 32 alone by up to 2^-4.
    expect(maxDifference(logits, promptLogits)).toBeLessThan(0.5);
    const squared = promptLogits.reduce((sum, x) => sum + x * x, 0);
    const error = promptLogits.reduce((sum, x, i) => sum + (x - (logits[i] as number)) ** 2, 0);
    expect(Math.sqrt(error / squared)).toBeLessThan(2 ** -7);
    using cache = models.bf16.createCache(64);
    using out = models.bf16.forward(ids(prompt), { cache });
    expect(out.dtype).toBe('bf16');
  });

  it.each(['f32', 'bf16'] as const)('are the same token by token, %s', async (dtype) => {
    const model = models[dtype];
    const all = await logitsOf(model, prompt);
    using cache = model.createCache(prompt.length);
    for (const [position, id] of prompt.entries()) {
      using input = ids([id]);
      using logits = model.forward(input, { cache });
      const row = all.subarray(position * 1024, (position + 1) * 1024);
      expect(maxDifference(await logits.toFloat32Array(), row)).toBeLessThan(
        dtype === 'f32' ? FLOAT32_LOGITS : 0.5,
      );
    }
    expect(cache.length).toBe(prompt.length);
  });

  it('are the same in pieces, for given positions, and for the last token only', async () => {
    const model = models.f32;
    const all = await logitsOf(model, prompt);
    using cache = model.createCache(64);
    using first = ids(prompt.subarray(0, 40));
    using second = ids(prompt.subarray(40));
    model.forward(first, { cache }).dispose();
    using rest = model.forward(second, { cache });
    expect(maxDifference(await rest.toFloat32Array(), all.subarray(40 * 1024))).toBeLessThan(FLOAT32_LOGITS);

    using positions = ids(Array.from({ length: 24 }, (_, i) => 40 + i));
    using again = model.forward(second, { cache, positions });
    expect(await again.toArray()).toEqual(await rest.toArray());
    expect(cache.length).toBe(64);

    cache.truncate(40);
    using last = model.forward(second, { cache, lastOnly: true });
    expect(last.shape).toEqual([1, 1024]);
    expect(maxDifference(await last.toFloat32Array(), all.subarray(63 * 1024))).toBeLessThan(FLOAT32_LOGITS);
  });

  it('repeat bit for bit', async () => {
    expect(await logitsOf(models.f32, prompt)).toEqual(await logitsOf(models.f32, prompt));
  });
});

describe('the greedy continuation of tiny-llama', () => {
  // Where two tokens are nearly as likely, bf16 activations decide by how a device rounds.
  it.each(onCpu ? (['f32', 'bf16'] as const) : (['f32'] as const))(
    'is that of float64 with %s, from a replayed graph',
    async (dtype) => {
      const start = [...greedy.subarray(0, 16)];
      const tokens: number[] = [];
      for await (const { id } of models[dtype].generate(start, { maxTokens: 48 })) tokens.push(id);
      expect(tokens).toEqual([...greedy.subarray(16)]);
    },
  );

  it('is that of a loop over forward and argmax', async () => {
    const model = models.f32;
    const start = [...prompt.subarray(0, 9)];
    const replayed: number[] = [];
    for await (const { id } of model.generate(start, { maxTokens: 24, stopAtEos: false })) replayed.push(id);
    const looped: number[] = [];
    using cache = model.createCache(64);
    let next = start;
    while (looped.length < 24) {
      using input = ids(next);
      using logits = model.forward(input, { cache, lastOnly: true });
      next = argmax(await logits.toFloat32Array());
      looped.push(...next);
    }
    expect(replayed).toEqual(looped);
  });
});

describe('forward', () => {
  it('refuses what does not fit and leaves the cache as it was', async () => {
    const model = models.f32;
    await expectNoLeak(async () => {
      using cache = model.createCache(4);
      using three = ids([1, 2, 3]);
      model.forward(three, { cache }).dispose();
      expect(await failure(() => model.forward(three, { cache }))).toBe(
        'QUTLASS_E_SHAPE tokens: expected at most 1 more, got 3',
      );
      using positions = ids([0]);
      expect(await failure(() => model.forward(three, { cache, positions }))).toBe(
        'QUTLASS_E_SHAPE positions: expected 3 elements, got 1',
      );
      using floats = Tensor.from([1], { shape: [1], device }) as Tensor as Tensor<'i32'>;
      await expect(async () => model.forward(floats, { cache })).rejects.toMatchObject({
        code: 'QUTLASS_E_DTYPE',
      });
      expect(cache.length).toBe(3);
      using narrow = models.bf16.createCache(4);
      expect(narrow.layer(0).keys.dtype).toBe('bf16');
    });
  });

  it('forgets after clear()', async () => {
    const model = models.f32;
    using cache = model.createCache(8);
    using start = ids([5, 6, 7]);
    using first = model.forward(start, { cache });
    cache.clear();
    using second = model.forward(start, { cache });
    expect(await second.toArray()).toEqual(await first.toArray());
  });

  it('gives NaN for a token that there is not, and only there', async () => {
    const logits = await logitsOf(models.f32, [5, 2000]);
    expect(logits.subarray(0, 1024).every(Number.isFinite)).toBe(true);
    expect(logits.subarray(1024).every(Number.isNaN)).toBe(true);
  });
});
