import { Random, roundingBits } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  dequantize,
  FORMATS,
  type Format,
  formatByName,
  Graph,
  hadamard,
  int8,
  mxfp4,
  mxfp8,
  nvfp4,
  type QuantizeOptions,
  quantize,
  rotate,
  stochastic,
  Tensor,
} from '../src/index.js';
import { codesOf, sample, scalesOf } from './contents.js';
import { quantizeReference } from './reference.js';

const draws = [
  { seed: 0, draw: 0 },
  { seed: 12_345, draw: 7 },
  { seed: 2 ** 53 - 1, draw: 2 ** 32 - 1 },
] as const;

describe.each(FORMATS.map((format) => [format.name, format] as const))('%s', (_, format: Format) => {
  const whole = format.groupCols === 'all';
  const width = whole ? 50 : Number(format.groupCols);

  it.each(draws)('equals the contract for seed $seed, draw $draw', async ({ seed, draw }) => {
    const [rows, cols] = [11, 3 * width];
    const data = sample(new Random(seed), rows, cols);
    const expected = quantizeReference(data, rows, cols, format, roundingBits(seed, draw, rows, cols));
    using x = Tensor.from(data, { shape: [rows, cols] });
    using q = quantize(x, format, { rounding: stochastic({ seed, draw }) });
    expect(await scalesOf(q)).toEqual(expected.scales);
    expect(await codesOf(q)).toEqual(expected.codes);
    if (q.zeroPoints) expect([...(await q.zeroPoints.toArray())]).toEqual(expected.zeroPoints);
  });

  it('leaves what codes stand for as it is', async () => {
    const [rows, cols] = [4, 2 * width];
    using x = Tensor.from(sample(new Random(9), rows, cols), { shape: [rows, cols] });
    using first = quantize(x, format);
    using values = dequantize(first);
    // The scales of what was rounded may be others, and so the codes; those of nearest codes are compared.
    using nearest = quantize(values, format, given(first.globalScale));
    using again = dequantize(nearest);
    if (!same(await again.toFloat32Array(), await values.toFloat32Array())) return;
    for (const seed of [1, 2, 3]) {
      using q = quantize(values, format, { ...given(first.globalScale), rounding: stochastic({ seed }) });
      expect(await codesOf(q)).toEqual(await codesOf(nearest));
    }
  });
});

const given = (globalScale: Tensor<'f32'> | undefined): QuantizeOptions =>
  globalScale ? { globalScale } : {};
const same = (a: Float32Array, b: Float32Array) => a.every((value, i) => value === b[i]);

describe('stochastic rounding', () => {
  const rows = 4096;

  /** Rows that are all alike, and so are rounded with the same scales and different numbers. */
  async function meanOf(
    row: Float32Array,
    format: Format,
  ): Promise<{ mean: Float64Array; step: Float64Array }> {
    const cols = row.length;
    const data = Float32Array.from({ length: rows * cols }, (_, i) => row[i % cols]!);
    using x = Tensor.from(data, { shape: [rows, cols] });
    using values = dequantize(quantize(x, format, { rounding: stochastic({ seed: 5 }) }));
    const all = await values.toFloat32Array();
    const mean = new Float64Array(cols);
    const [low, high] = [Float64Array.from(row).fill(Infinity), Float64Array.from(row).fill(-Infinity)];
    for (const [i, value] of all.entries()) {
      const col = i % cols;
      mean[col]! += value / rows;
      low[col] = Math.min(low[col]!, value);
      high[col] = Math.max(high[col]!, value);
    }
    return { mean, step: high.map((value, col) => value - low[col]!) };
  }

  // Formats under whose scales nothing saturates.
  const names = [
    ...['mxfp4-rceil', 'mxfp4-abs_max', 'mxfp8-rceil', 'mxfp8-e5m2-rceil', 'fp8-row', 'fp8-1x128', 'nf4'],
    ...['int8-row', 'int8-row-asym', 'int4-g32', 'int4-g128-asym'],
  ];
  it.each(names)('has no bias in %s', async (name) => {
    const row = new Random(3).normals(128);
    row.set([0, 1e-6, -1e-6, 0.013], 0);
    const { mean, step } = await meanOf(row, formatByName(name));
    let sum = 0;
    for (const [col, value] of row.entries()) {
      // The standard deviation of one rounding is at most half of a step; 16 bits leave 2^-17 of it.
      const bound = 5 * (step[col]! / 2 / Math.sqrt(rows)) + step[col]! * 2 ** -17 + Math.abs(value) * 1e-6;
      if (step[col]) expect(Math.abs(mean[col]! - value), `column ${col}: ${value}`).toBeLessThan(bound);
      sum += step[col]! === 0 ? 0 : (mean[col]! - value) / (step[col]! / 2 / Math.sqrt(rows));
    }
    // Nor have all columns together.
    expect(Math.abs(sum)).toBeLessThan(5 * Math.sqrt(row.length));
  });

  it('takes both neighbours and no other code', async () => {
    const { step } = await meanOf(
      Float32Array.from({ length: 32 }, (_, i) => i / 8),
      mxfp4({ scale: 'rceil' }),
    );
    // Steps of e2m1 in units of the scale, 1: 1/2 up to 2, 1 up to 4; none where the value is a code.
    const expected = Array.from({ length: 32 }, (_, i) => {
      const width = i / 8 < 2 ? 0.5 : 1;
      return (i / 8) % width === 0 ? 0 : width;
    });
    expect([...step]).toEqual(expected);
  });

  it('saturates as nearest rounding does', async () => {
    // Under floor 7.9 has the scale of 4.
    const data = Float32Array.from({ length: 64 }, (_, i) => (i % 2 ? -7.9 : 7.9));
    using x = Tensor.from(data, { shape: [1, 64] });
    using q = quantize(x, mxfp4(), { rounding: stochastic({ seed: 3 }) });
    using values = dequantize(q);
    expect(await values.toFloat32Array()).toEqual(data.map((value) => Math.sign(value) * 6));
  });

  it('draws other numbers with another seed, draw, row or column', async () => {
    const [m, n] = [64, 256];
    using x = Tensor.from(new Float32Array(m * n).fill(0.3).fill(1, 0, 1), { shape: [m, n] });
    const bits = async (options: { seed: number; draw?: number }) => {
      using q = quantize(x, int8({ granularity: 'tensor' }), { rounding: stochastic(options) });
      return q.codes.toBytes();
    };
    const first = await bits({ seed: 1 });
    expect(await bits({ seed: 1, draw: 0 })).toEqual(first);
    const difference = (a: Uint8Array, b: Uint8Array) => a.reduce((sum, x, i) => sum + Number(x !== b[i]), 0);
    const [rowsApart, columnsApart] = [first.slice(n), first.slice(1)];
    // 0.3 * 127 = 38.1: one of ten becomes 39.
    for (const other of [
      await bits({ seed: 2 }),
      await bits({ seed: 1, draw: 1 }),
      await bits({ seed: 2 ** 32 + 1 }),
      rowsApart,
      columnsApart,
    ]) {
      expect(difference(first.slice(0, other.length), other) / other.length).toBeGreaterThan(0.15);
    }
  });

  it('reads the draw from the device, anew at each replay of a graph', async () => {
    using x = Tensor.random([8, 128], { dtype: 'bf16', seed: 1 });
    using counter = Tensor.from(Int32Array.of(3), { shape: [1], dtype: 'i32' });
    const rounding = stochastic({ seed: 11, draw: counter });
    const expected = async (draw: number) => {
      using q = quantize(x, nvfp4(), { rounding: stochastic({ seed: 11, draw }) });
      return q.codes.toBytes();
    };
    let q = quantize(x, nvfp4(), { rounding });
    expect(await q.codes.toBytes()).toEqual(await expected(3));
    q.dispose();
    using graph = Graph.capture(x.device, () => {
      q = quantize(x, nvfp4(), { rounding });
    });
    for (const draw of [4, 5, 2 ** 32 - 1]) {
      counter.write(Int32Array.of(draw | 0));
      graph.launch();
      expect(await q.codes.toBytes()).toEqual(await expected(draw));
    }
    q.dispose();
  });

  it('comes after the rotation', async () => {
    using x = Tensor.random([6, 512], { dtype: 'f32', seed: 4 });
    const by = hadamard(512);
    using y = rotate(x, by);
    const rounding = stochastic({ seed: 8 });
    using fused = quantize(x, mxfp8(), { rotation: by, rounding });
    using separate = quantize(y, mxfp8(), { rounding });
    expect(await fused.codes.toBytes()).toEqual(await separate.codes.toBytes());
  });

  it('refuses numbers that are none of a seed or a draw', () => {
    const text = (body: () => unknown) => {
      try {
        body();
      } catch (error) {
        return `${(error as { code: string }).code} ${(error as Error).message}`;
      }
      throw new Error('expected an error');
    };
    expect(text(() => stochastic({ seed: -1 }))).toBe(
      'QUTLASS_E_ARGUMENT seed: expected an integer from 0 to 2^53 - 1, got -1',
    );
    expect(text(() => stochastic({ seed: 1, draw: 2 ** 32 }))).toBe(
      'QUTLASS_E_ARGUMENT draw: expected an integer from 0 to 2^32 - 1, got 4294967296',
    );
    using wrong = Tensor.zeros([1], 'f32');
    expect(text(() => stochastic({ seed: 1, draw: wrong as unknown as Tensor<'i32'> }))).toBe(
      'QUTLASS_E_DTYPE draw: expected i32, got f32',
    );
    using two = Tensor.zeros([2], 'i32');
    expect(text(() => stochastic({ seed: 1, draw: two }))).toBe(
      'QUTLASS_E_SHAPE draw: expected one element, got shape [2]',
    );
    const gone = Tensor.zeros([1], 'i32');
    const rounding = stochastic({ seed: 1, draw: gone });
    gone.dispose();
    using x = Tensor.zeros([1, 32], 'f32');
    expect(text(() => quantize(x, mxfp4(), { rounding }))).toBe(
      'QUTLASS_E_DISPOSED tensor: used after dispose()',
    );
  });
});
