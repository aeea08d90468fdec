import { philox } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { Graph } from '../graph.js';
import { Tensor } from '../tensor.js';
import { failure } from '../test-support.js';
import { checksum, fill, fillRandom } from './fill.js';

const FILL = 0x66696c6cn;
const draw = (seed: number, i: number) => philox(BigInt(seed), [BigInt(i), 0n, FILL, 0n]);

describe('random numbers', () => {
  it('are sums of eight draws', async () => {
    using x = Tensor.random([100], { dtype: 'f32', seed: 7, deviation: 3 });
    const factor = Math.fround(3 / Math.sqrt((8 / 12) * (2 ** 32 - 1)));
    const expected = Array.from({ length: 100 }, (_, i) => {
      const halves = draw(7, i).flatMap((word) => [Number(word & 0xffffn), Number(word >> 16n)]);
      return Math.fround((halves.reduce((x, y) => x + y) - 4 * 0xffff) * factor);
    });
    expect([...(await x.toArray())]).toEqual(expected);
  });

  it.each(['f32', 'bf16', 'f16'] as const)('of %s have the deviation asked for', async (dtype) => {
    using x = Tensor.random([256, 256], { dtype, seed: 1, deviation: 0.5 });
    const values = await x.toFloat32Array();
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    // Five standard errors of 65,536 numbers.
    expect(Math.abs(mean)).toBeLessThan((5 * 0.5) / 256);
    expect(Math.abs(Math.sqrt(square) / 0.5 - 1)).toBeLessThan(5 / 256);
    expect(Math.max(...values)).toBeLessThanOrEqual(0.5 * 4.91);
  });

  it('of other dtypes are bytes', async () => {
    using x = Tensor.random([37], { dtype: 'u8', seed: 3 });
    const bytes = [0, 1, 2].flatMap((i) =>
      draw(3, i).flatMap((word) => [0n, 8n, 16n, 24n].map((shift) => Number((word >> shift) & 0xffn))),
    );
    expect([...(await x.toBytes())]).toEqual(bytes.slice(0, 37));
  });

  it('depend on the seed alone', async () => {
    using x = Tensor.random([1000], { dtype: 'bf16', seed: 5 });
    using y = Tensor.zeros([1000], 'bf16');
    fillRandom(y, { seed: 5 });
    expect(await y.toBytes()).toEqual(await x.toBytes());
    fillRandom(y, { seed: 6 });
    expect(await y.toBytes()).not.toEqual(await x.toBytes());
  });

  it('need a deviation that is a number', () => {
    using x = Tensor.zeros([1], 'f32');
    expect(failure(() => fillRandom(x, { deviation: -1 }))).toBe(
      'QUTLASS_E_ARGUMENT deviation: expected a finite number from 0 on, got -1',
    );
    expect(failure(() => Tensor.random([1], { dtype: 'f32', deviation: Number.NaN }))).toContain(
      'deviation: expected a finite number from 0 on',
    );
  });
});

describe('fill', () => {
  it('sets every byte of the tensor and none beside it', async () => {
    using whole = Tensor.zeros([3, 5], 'f32');
    using middle = whole.rows(1, 2);
    fill(middle, 0xff);
    const bytes = await whole.toBytes();
    expect([...bytes]).toEqual(Array.from({ length: 60 }, (_, i) => (i >= 20 && i < 40 ? 0xff : 0)));
  });

  it('can be captured', async () => {
    using x = Tensor.from([1, 2], { shape: [2] });
    using graph = Graph.capture(x.device, () => fill(x, 0));
    expect([...(await x.toArray())]).toEqual([1, 2]);
    graph.launch();
    expect([...(await x.toArray())]).toEqual([0, 0]);
  });

  it('takes a byte', () => {
    using x = Tensor.zeros([1], 'f32');
    expect(failure(() => fill(x, 256))).toBe('QUTLASS_E_ARGUMENT value: expected 0 to 255, got 256');
  });
});

describe('the checksum', () => {
  /** By its definition. */
  function expected(bytes: Uint8Array): number {
    const words = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    words.set(bytes);
    return new Uint32Array(words.buffer).reduce(
      (sum, word, i) => sum ^ ((word << (i & 31)) | (word >>> (32 - (i & 31)))),
      0,
    );
  }

  it.each([1, 3, 4, 5, 63, 64, 65, 4099, 300_001])('of %d bytes', async (length) => {
    using x = Tensor.random([length], { dtype: 'u8', seed: length });
    using sum = checksum(x);
    expect((await sum.toArray())[0]).toBe(expected(await x.toBytes()));
  });

  it('of bytes that are not aligned', async () => {
    using whole = Tensor.random([101, 3], { dtype: 'u8', seed: 1 });
    using part = whole.rows(1, 101);
    using sum = checksum(part);
    expect((await sum.toArray())[0]).toBe(expected(await part.toBytes()));
  });
});
