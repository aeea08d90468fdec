import { describe, expect, it } from 'vitest';
import { device, expectNoLeak, logitsOf, reference, tinyLlama, writeSmallModel } from '../../test/support.js';
import { failure, temporaryDirectory } from '../checkpoint/test-support.js';
import { evaluate } from './evaluate.js';
import { Llama } from './llama.js';

const { heldOut } = await reference();
const model = await Llama.load(tinyLlama, { device });
const text = heldOut.subarray(0, 301);

/** The sum in float64 of -log softmax(logits[m])[target[m]]. */
function crossEntropySum(logits: Float32Array, targets: Int32Array, vocabulary: number): number {
  return targets.reduce((sum, target, row) => {
    const values = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    const largest = Math.max(...values);
    const total = values.reduce((mass, value) => mass + Math.exp(value - largest), 0);
    return sum + largest + Math.log(total) - (values[target] as number);
  }, 0);
}

describe('evaluate', () => {
  it.each([512, 300, 128, 100, 7])('averages over all tokens in windows of %d', async (window) => {
    let sum = 0;
    for (let begin = 0; begin < 300; begin += window) {
      const end = Math.min(begin + window, 300);
      const logits = await logitsOf(model, text.subarray(begin, end));
      sum += crossEntropySum(logits, text.subarray(begin + 1, end + 1), 1024);
    }
    const steps: number[] = [];
    const result = await evaluate(model, text, {
      window,
      onProgress: ({ done, total }) => {
        expect(total).toBe(300);
        steps.push(done);
      },
    });
    expect(result.loss).toBeCloseTo(sum / 300, 5);
    expect(result.perplexity).toBeCloseTo(Math.exp(sum / 300), 4);
    expect(result.tokens).toBe(300);
    expect(result.seconds).toBeGreaterThan(0);
    expect(steps).toHaveLength(Math.ceil(300 / window));
    expect(steps.at(-1)).toBe(300);
  });

  it('takes plain arrays, and the longest window that the model has', async () => {
    const directory = await temporaryDirectory();
    await writeSmallModel(directory);
    using small = await Llama.load(directory, { device });
    const ids = Array.from({ length: 100 }, (_, i) => i % 48);
    expect((await evaluate(small, ids)).loss).toBe((await evaluate(small, ids, { window: 64 })).loss);
    expect(await failure(() => evaluate(small, ids, { window: 65 }))).toBe(
      'QUTLASS_E_ARGUMENT window: expected 1 to 64, got 65',
    );
  });

  it.each<[number[], number, string]>([
    [[], 512, 'ids: expected at least 2 tokens, got 0'],
    [[5], 512, 'ids: expected at least 2 tokens, got 1'],
    [[5, 1024], 512, 'ids[1]: expected a token id from 0 to 1023, got 1024'],
    [[5, Number.NaN], 512, 'ids[1]: expected a token id from 0 to 1023, got NaN'],
    [[5, 6], 0, 'window: expected 1 to 1024, got 0'],
    [[5, 6], 1.5, 'window: expected 1 to 1024, got 1.5'],
    [[5, 6], 1025, 'window: expected 1 to 1024, got 1025'],
    [[5, 6], Number.NaN, 'window: expected 1 to 1024, got NaN'],
  ])('refuses %j in windows of %d', async (ids, window, message) => {
    expect(await failure(() => evaluate(model, ids, { window }))).toBe(`QUTLASS_E_ARGUMENT ${message}`);
  });

  it('stops with the reason of its signal and frees its memory', async () => {
    await expectNoLeak(async () => {
      const reason = new Error('stopped');
      const controller = new AbortController();
      let windows = 0;
      const onProgress = () => {
        if (++windows === 2) controller.abort(reason);
      };
      const run = evaluate(model, text, { window: 50, signal: controller.signal, onProgress });
      await expect(run).rejects.toBe(reason);
      expect(windows).toBe(2);
      await evaluate(model, text, { window: 50 });
    });
  });
});
