import { describe, expect, it } from 'vitest';
import { device, expectNoLeak, memory } from '../../test/support.js';
import { failure } from '../checkpoint/test-support.js';
import { KVCache, type KVCacheOptions } from './kv-cache.js';

const options: KVCacheOptions = { layers: 2, capacity: 8, kvHeads: 1, headDim: 4, dtype: 'f32', device };

describe('KVCache', () => {
  it('counts tokens up to its capacity', async () => {
    using cache = new KVCache(options);
    expect([cache.advance(5), cache.length]).toEqual([0, 5]);
    expect([cache.advance(3), cache.length]).toEqual([5, 8]);
    expect(await failure(() => cache.advance(1))).toBe(
      'QUTLASS_E_SHAPE tokens: expected at most 0 more, got 1',
    );
    expect(cache.length).toBe(8);
    cache.truncate(6);
    expect(await failure(() => cache.advance(3))).toBe(
      'QUTLASS_E_SHAPE tokens: expected at most 2 more, got 3',
    );
    expect(await failure(() => cache.advance(-1))).toBe(
      'QUTLASS_E_SHAPE tokens: expected at most 2 more, got -1',
    );
    expect(await failure(() => cache.truncate(7))).toBe('QUTLASS_E_SHAPE length: expected 0 to 6, got 7');
    cache.clear();
    expect([cache.length, cache.advance(8)]).toEqual([0, 0]);
  });

  it('copies into a larger one', async () => {
    using cache = new KVCache(options);
    cache.advance(3);
    const keys = Float32Array.from({ length: 32 }, (_, i) => i);
    cache.layer(1).keys.write(keys as never);
    using larger = new KVCache({ ...options, capacity: 12 });
    cache.copyTo(larger);
    expect(larger.length).toBe(3);
    expect(await larger.layer(1).keys.toFloat32Array()).toEqual(
      Float32Array.from({ length: 48 }, (_, i) => (i < 32 ? i : 0)),
    );
  });

  it.each([0, -1, 1.5, Number.NaN])('has no capacity of %s', async (capacity) => {
    expect(await failure(() => new KVCache({ ...options, capacity }))).toBe(
      `QUTLASS_E_SHAPE capacity: expected a positive integer, got ${capacity}`,
    );
  });

  it('knows its layers', async () => {
    using cache = new KVCache(options);
    expect(cache.layer(1).values.shape).toEqual([8, 1, 4]);
    expect(await failure(() => cache.layer(2))).toBe('QUTLASS_E_ARGUMENT layer: expected below 2, got 2');
  });

  it('frees its memory', async () => {
    await expectNoLeak(async () => {
      const cache = new KVCache(options);
      expect((await memory()).allocations).toBeGreaterThanOrEqual(4);
      cache.dispose();
      expect(await failure(() => cache.advance(1))).toBe('QUTLASS_E_DISPOSED KV cache: used after dispose()');
    });
  });
});
