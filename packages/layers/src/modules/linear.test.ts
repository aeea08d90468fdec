import { Device, Tensor } from '@qutlass/core-kernels';
import { otherDevice } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { device, expectNoLeak, expectProduct, randomTensor, randomValues } from '../../test/support.js';
import { failure } from '../checkpoint/test-support.js';
import { Embedding } from './embedding.js';
import { Linear, TiedLinear } from './linear.js';

describe('Linear', () => {
  it.each([1, 7, 33, 100, 257])('is x W^T + b, %d features in and out', async (features) => {
    const rows = 5;
    using layer = new Linear(randomTensor([features, features], 2), randomTensor([features], 3));
    using x = randomTensor([rows, features], 4);
    using out = layer.forward(x);
    expectProduct(
      await out.toFloat32Array(),
      randomValues(rows * features, 4),
      randomValues(features * features, 2),
      { rows, cols: features, inner: features },
      { bias: randomValues(features, 3), relative: 2 ** -20 },
    );
  });

  it.each(['f32', 'bf16', 'f16'] as const)('gives %s for %s', async (dtype) => {
    using layer = new Linear(randomTensor([9, 16], 2, 'bf16'));
    using x = randomTensor([3, 16], 4, dtype);
    using out = layer.forward(x);
    expect(out.dtype).toBe(dtype);
    const sizes = { rows: 3, cols: 9, inner: 16 };
    expectProduct(await out.toFloat32Array(), randomValues(48, 4), randomValues(144, 2), sizes);
  });

  it('keeps leading dimensions', async () => {
    using layer = new Linear(randomTensor([4, 8], 2), randomTensor([4], 3));
    using flat = randomTensor([6, 8], 4);
    using expected = layer.forward(flat);
    for (const lead of [[6], [2, 3], [1, 2, 3]]) {
      using x = flat.reshape([...lead, 8]);
      using out = layer.forward(x);
      expect(out.shape).toEqual([...lead, 4]);
      expect(await out.toArray()).toEqual(await expected.toArray());
    }
    using row = flat.rows(0, 1);
    using vector = row.reshape([8]);
    using out = layer.forward(vector);
    expect(out.shape).toEqual([4]);
    // Another kernel may compute a vector, in another order.
    const [values, row0] = [await out.toArray(), await expected.toArray()];
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo(row0[i] as number, 4);
  });

  it('refuses what does not fit', async () => {
    using weight = randomTensor([4, 8]);
    using bias = randomTensor([5]);
    using matrixBias = randomTensor([1, 4]);
    expect(await failure(() => new Linear(bias))).toBe(
      'QUTLASS_E_SHAPE weight: expected a matrix [outFeatures, inFeatures], got [5]',
    );
    expect(await failure(() => new Linear(weight, bias))).toBe(
      'QUTLASS_E_SHAPE bias: expected shape [4], got [5]',
    );
    expect(await failure(() => new Linear(weight, matrixBias))).toBe(
      'QUTLASS_E_SHAPE bias: expected shape [4], got [1, 4]',
    );
    const other = otherDevice(Device);
    using elsewhere = Tensor.zeros([4], 'f32', other);
    expect(await failure(() => new Linear(weight, elsewhere))).toBe(
      `QUTLASS_E_ARGUMENT device: expected all operands on ${device}, got one on ${other}`,
    );
    using layer = new Linear(weight.share());
    using x = randomTensor([2, 7]);
    expect(await failure(() => layer.forward(x))).toBe(
      'QUTLASS_E_SHAPE x: expected shape [.., 8], got [2, 7]',
    );
  });

  it('shows what it is, and is of no use after dispose()', async () => {
    const layer = new Linear(randomTensor([4, 8], 1, 'bf16'));
    expect(String(layer)).toBe('Linear(8 -> 4, bf16)');
    expect(layer.byteLength).toBe(64);
    layer.dispose();
    using x = randomTensor([2, 8]);
    expect(await failure(() => layer.forward(x))).toBe('QUTLASS_E_DISPOSED Linear: used after dispose()');
  });

  it('frees its memory', async () => {
    await expectNoLeak(() => {
      using layer = new Linear(randomTensor([4, 8]), randomTensor([4]));
      using x = randomTensor([2, 3, 8]);
      using _ = layer.forward(x);
    });
  });
});

describe('TiedLinear', () => {
  it('multiplies by the table of the embedding and owns nothing', async () => {
    using embedding = new Embedding(randomTensor([12, 8], 2, 'bf16'));
    const head = new TiedLinear(embedding);
    using x = randomTensor([3, 8], 4);
    using out = head.forward(x);
    const sizes = { rows: 3, cols: 12, inner: 8 };
    expectProduct(await out.toFloat32Array(), randomValues(24, 4), randomValues(96, 2), sizes, {
      relative: 2 ** -20,
    });
    expect([...head.parameters()]).toEqual([]);
    expect(head.byteLength).toBe(0);
    expect(String(head)).toBe('TiedLinear(8 -> 12, bf16)');
    head.dispose();
    expect(embedding.disposed).toBe(false);
    using ids = Tensor.from(Int32Array.of(0), { shape: [1], device, dtype: 'i32' });
    using _ = embedding.forward(ids, 'f32');
  });
});
