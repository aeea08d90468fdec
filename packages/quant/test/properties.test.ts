import { Random } from '@qutlass/test-support';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dequantize,
  FORMATS,
  type Format,
  paddedCols,
  quantize,
  rowScales,
  Tensor,
  toBlocked,
} from '../src/index.js';
import { codesOf, sample, scalesOf } from './contents.js';
import { quantizeReference } from './reference.js';

const formats = FORMATS.map((format) => [format.name, format] as const);

describe.each(formats)('%s', (_, format: Format) => {
  it('equals the contract on any shape', { timeout: 60_000 }, async () => {
    const shapes = fc.record({
      rows: fc.integer({ min: 1, max: 20 }),
      groups: fc.integer({ min: 1, max: 3 }),
      seed: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(shapes, async ({ rows, groups, seed }) => {
        const step = format.groupCols === 'all' ? 50 : format.groupCols;
        const cols = groups * step;
        const data = sample(new Random(seed), rows, cols);
        const expected = quantizeReference(data, rows, cols, format);
        using x = Tensor.from(data, { shape: [rows, cols] });
        using q = quantize(x, format);
        expect(await scalesOf(q)).toEqual(expected.scales);
        expect(await codesOf(q)).toEqual(expected.codes);
        if (q.zeroPoints) expect([...(await q.zeroPoints.toArray())]).toEqual(expected.zeroPoints);
        if (q.globalScale)
          expect(await q.globalScale.toFloat32Array()).toEqual(Float32Array.of(expected.globalScale));
        using values = dequantize(q);
        expect(await values.toFloat32Array()).toEqual(Float32Array.from(expected.values));
      }),
      { numRuns: 12 },
    );
  });

  it('takes bf16, f16 and float32 alike', async () => {
    const [rows, cols] = [3, paddedCols(format, 100)];
    const data = new Random(1).normals(rows * cols).map((v) => Math.round(v * 16) / 16);
    using wide = Tensor.from(data, { shape: [rows, cols] });
    using expected = quantize(wide, format);
    for (const dtype of ['bf16', 'f16'] as const) {
      using narrow = wide.to(dtype);
      using actual = quantize(narrow, format);
      expect(await actual.codes.toBytes()).toEqual(await expected.codes.toBytes());
      expect(await actual.scales.toBytes()).toEqual(await expected.scales.toBytes());
    }
  });

  it('contains NaN and infinity in their group', async () => {
    const width = format.groupCols === 'all' ? 64 : format.groupCols;
    const [rows, cols] = [3, 2 * width];
    const data = new Random(2).normals(rows * cols);
    const broken = Float32Array.from(data);
    broken[cols + 5] = Number.NaN;
    broken[2 * cols + width + 1] = Number.NEGATIVE_INFINITY;
    // What stays finite must keep its bytes, so the largest element is elsewhere.
    data[3] = 100;
    broken[3] = 100;
    using x = Tensor.from(data, { shape: [rows, cols] });
    using y = Tensor.from(broken, { shape: [rows, cols] });
    using clean = dequantize(quantize(x, format));
    using damaged = dequantize(quantize(y, format));
    const [a, b] = [await clean.toFloat32Array(), await damaged.toFloat32Array()];
    const height = format.groupRows === 'all' || format.groupRows === 128 ? rows : 1;
    const span = format.groupCols === 'all' ? cols : width;
    const groupOf = (i: number) =>
      `${Math.floor(Math.floor(i / cols) / height)}/${Math.floor((i % cols) / span)}`;
    const hit = new Set([groupOf(cols + 5), groupOf(2 * cols + width + 1)]);
    for (const [i, value] of b.entries()) {
      if (hit.has(groupOf(i))) expect(value, `element ${i}`).toBeNaN();
      else expect(value, `element ${i}`).toBe(a[i]);
    }
  });

  it('keeps zeros, and finite values finite', async () => {
    const cols = paddedCols(format, 128);
    using zeros = Tensor.zeros([2, cols], 'f32');
    using q = quantize(zeros, format);
    using values = dequantize(q);
    expect((await values.toFloat32Array()).every((v) => v === 0)).toBe(true);
    expect((await scalesOf(q)).every(Number.isFinite)).toBe(true);
    for (const size of [1e-45, 1e-40, 1e-38, 1e30, 5e37]) {
      using x = Tensor.from(
        new Random(3).normals(2 * cols).map((v) => Math.tanh(v) * size),
        { shape: [2, cols] },
      );
      using extreme = dequantize(quantize(x, format));
      // f16 scales have a range of their own.
      if (format.scaleDType === 'f16') continue;
      expect((await extreme.toFloat32Array()).every(Number.isFinite), `size ${size}`).toBe(true);
    }
  });

  if (['f8e8m0', 'f8e4m3'].includes(format.scaleDType)) {
    it('writes blocked scales like toBlocked', async () => {
      using x = Tensor.from(new Random(4).normals(130 * 96), { shape: [130, 96] });
      using row = quantize(x, format);
      using blocked = quantize(x, format, { scaleLayout: 'blocked128x4' });
      using expected = toBlocked(rowScales(row.scales));
      expect(await blocked.scales.toBytes()).toEqual(await expected.toBytes());
      using back = blocked.withScaleLayout('row');
      expect(await back.scales.toBytes()).toEqual(await row.scales.toBytes());
    });
  }
});
