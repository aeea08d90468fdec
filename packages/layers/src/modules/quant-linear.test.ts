import { pad } from '@qutlass/core-kernels';
import { FORMAT_PAIRS } from '@qutlass/gemm';
import {
  dequantize,
  FORMATS,
  type Format,
  formatByName,
  hadamard,
  identity,
  int4,
  int8,
  mxfp4,
  nf4,
  nvfp4,
  paddedCols,
  quantize,
  type Rotation,
  rotation,
} from '@qutlass/quant';
import { roundBf16 } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { expectNoLeak, expectProduct, randomTensor, randomValues } from '../../test/support.js';
import { failure } from '../checkpoint/test-support.js';
import { Linear, LinearModule } from './linear.js';
import { QuantLinear } from './quant-linear.js';

const FEATURES = [1, 7, 33, 100, 257];
const ROWS = 3;

/** x [rows, inner] with zeros up to `cols`. */
function padded(x: Float32Array, inner: number, cols: number): Float32Array {
  const out = new Float32Array((x.length / inner) * cols);
  for (let row = 0; row * inner < x.length; ++row)
    out.set(x.subarray(row * inner, (row + 1) * inner), row * cols);
  return out;
}

/** x [.., size] H in float64, H the Sylvester Hadamard matrix with entries +-bf16(size^-0.5). */
function rotated(x: Float32Array, size: number, entry: number): Float64Array {
  const parity = (bits: number): number => (bits === 0 ? 0 : (bits & 1) ^ parity(bits >>> 1));
  const out = new Float64Array(x.length);
  for (let i = 0; i < x.length; ++i) {
    const [block, column] = [i - (i % size), i % size];
    for (let j = 0; j < size; ++j) {
      out[i] = (out[i] as number) + (parity(column & j) ? -entry : entry) * (x[block + j] as number);
    }
  }
  return out;
}

describe('a weight-only product', () => {
  it.each(FORMATS.map(({ name }) => name))('is that of the dequantized weight: %s', async (name) => {
    for (const inner of FEATURES) {
      const outer = 258 - inner;
      using weight = randomTensor([outer, inner], 2);
      using layer = QuantLinear.from(weight, { format: formatByName(name), bias: randomTensor([outer], 3) });
      using x = randomTensor([ROWS, inner], 4);
      using out = layer.forward(x);
      using values = dequantize(layer.weight);
      const [, cols] = layer.weight.shape;
      expectProduct(
        await out.toFloat32Array(),
        padded(randomValues(ROWS * inner, 4), inner, cols),
        await values.toFloat32Array(),
        { rows: ROWS, cols: outer, inner: cols },
        { bias: randomValues(outer, 3), relative: 2 ** -20 },
      );
    }
  });

  it('rotates x as the weight was rotated', async () => {
    const [size, inner, outer] = [32, 100, 40];
    const entry = roundBf16(size ** -0.5);
    using weight = randomTensor([outer, inner], 2);
    using layer = QuantLinear.from(weight, { format: int4({ group: 32 }), rotation: hadamard(size) });
    using x = randomTensor([ROWS, inner], 4);
    using out = layer.forward(x);
    using values = dequantize(layer.weight, { rotated: true });
    expectProduct(
      await out.toFloat32Array(),
      rotated(padded(randomValues(ROWS * inner, 4), inner, 128), size, entry),
      await values.toFloat32Array(),
      { rows: ROWS, cols: outer, inner: 128 },
      { alpha: 1 / (size * entry ** 2), relative: 2 ** -20 },
    );
  });

  it('with any rotation is near the product before quantizing', async () => {
    const angle = Math.PI / 5;
    const plane = [Math.cos(angle), Math.sin(angle), -Math.sin(angle), Math.cos(angle)];
    const [inner, outer] = [96, 24];
    using weight = randomTensor([outer, inner], 2);
    using x = randomTensor([ROWS, inner], 4);
    using plain = QuantLinear.from(weight, { format: int8() });
    using near = plain.forward(x);
    const expected = await near.toFloat32Array();
    for (const turn of [identity(), hadamard(16), hadamard(32, { seed: 7 }), rotation(plane, 2)]) {
      using layer = QuantLinear.from(weight, { format: int8(), rotation: turn });
      using out = layer.forward(x);
      const values = await out.toFloat32Array();
      const error = values.reduce((sum, value, i) => sum + (value - (expected[i] as number)) ** 2, 0);
      const power = expected.reduce((sum, value) => sum + value ** 2, 0);
      expect(error / power, String(turn)).toBeLessThan(1e-3);
    }
  });
});

describe('a product with quantized activations', () => {
  const pairs = FORMATS.flatMap((weights) =>
    FORMATS.filter(({ kind }) => (FORMAT_PAIRS[kind] as readonly string[]).includes(weights.kind)).map(
      (activations) => [weights, activations] as const,
    ),
  );

  async function expectPair(weights: Format, activations: Format, turn?: Rotation): Promise<void> {
    const [inner, outer] = [33, 6];
    using weight = randomTensor([outer, inner], 2);
    using layer = QuantLinear.from(weight, {
      format: weights,
      activations,
      bias: randomTensor([outer], 3),
      ...(turn && { rotation: turn }),
    });
    const [, cols] = layer.weight.shape;
    expect(cols).toBe(paddedCols(activations, paddedCols(weights, inner, turn?.size), turn?.size));
    using x = randomTensor([ROWS, inner], 4);
    using wide = pad(x, ROWS, cols);
    using q = quantize(wide, activations, turn ? { rotation: turn } : {});
    using qValues = dequantize(q, { rotated: true });
    using wValues = dequantize(layer.weight, { rotated: true });
    using out = layer.forward(x);
    expectProduct(
      await out.toFloat32Array(),
      await qValues.toFloat32Array(),
      await wValues.toFloat32Array(),
      { rows: ROWS, cols: outer, inner: cols },
      { bias: randomValues(outer, 3), relative: 2 ** -20, alpha: 1 / (turn?.gain ?? 1) },
    );
  }

  it(`is that of the dequantized operands, all ${pairs.length} pairs`, async () => {
    expect(pairs.length).toBeGreaterThan(900);
    for (const [weights, activations] of pairs) await expectPair(weights, activations);
  });

  it('rotates both', async () => {
    for (const [weights, activations] of [
      [int4({ group: 32 }), int8()],
      [nvfp4(), nvfp4()],
      [mxfp4({ scale: 'quest' }), formatByName('mxfp8')],
      [formatByName('fp8-128x128'), formatByName('fp8-1x128')],
    ] as const) {
      await expectPair(weights, activations, hadamard(16));
      await expectPair(weights, activations, hadamard(64, { seed: 3 }));
    }
  });

  it('gives the same as rotating x inside the product does', async () => {
    // One value of the same size per block: rotated, all are +-1.25, which int8 holds exactly.
    const inner = 64;
    using weight = randomTensor([12, inner], 2);
    const options = { format: int8(), rotation: hadamard(16) };
    using plain = QuantLinear.from(weight, options);
    using both = QuantLinear.from(weight, { ...options, activations: int8() });
    const values = new Float32Array(2 * inner);
    for (let block = 0; block < values.length; block += 16) values[block] = block % 64 === 0 ? 5 : -5;
    using x = randomTensor([2, inner]);
    x.write(values);
    using a = plain.forward(x);
    using b = both.forward(x);
    const [left, right] = [await a.toFloat32Array(), await b.toFloat32Array()];
    for (const [i, value] of left.entries()) expect(right[i]).toBeCloseTo(value, 4);
  });
});

describe('QuantLinear', () => {
  it.each(['f32', 'bf16', 'f16'] as const)('takes and gives %s', async (dtype) => {
    using weight = randomTensor([5, 33], 2, 'bf16');
    for (const activations of [null, int8()]) {
      using layer = QuantLinear.from(weight, { format: int8(), activations });
      using x = randomTensor([ROWS, 33], 4, dtype);
      using out = layer.forward(x);
      using wide = randomTensor([ROWS, 33], 4);
      using exact = layer.forward(wide);
      expect(out.dtype).toBe(dtype);
      const [values, expected] = [await out.toFloat32Array(), await exact.toFloat32Array()];
      // Other kernels may compute other dtypes: half a step of the dtype, and the bound of both products.
      const step = { f32: 0, bf16: 2 ** -8, f16: 2 ** -11 }[dtype];
      for (const [i, value] of expected.entries()) {
        const difference = Math.abs((values[i] as number) - value);
        expect(difference).toBeLessThanOrEqual(step * Math.abs(value) + 33 * 2 ** -15);
      }
    }
  });

  it('keeps leading dimensions', async () => {
    using weight = randomTensor([5, 33], 2);
    using layer = QuantLinear.from(weight, { format: nvfp4() });
    using flat = randomTensor([6, 33], 4);
    using expected = layer.forward(flat);
    for (const lead of [
      [2, 3],
      [1, 6, 1],
    ]) {
      using x = flat.reshape([...lead, 33]);
      using out = layer.forward(x);
      expect(out.shape).toEqual([...lead, 5]);
      expect(await out.toArray()).toEqual(await expected.toArray());
    }
  });

  it('prepares its weight once', () => {
    using weight = randomTensor([5, 32], 2);
    using layer = QuantLinear.from(weight, { format: mxfp4() });
    const { prepared } = layer;
    using x = randomTensor([1, 32]);
    for (let i = 0; i < 3; ++i) layer.forward(x).dispose();
    expect(layer.prepared).toBe(prepared);
    expect(prepared.disposed).toBe(false);
    layer.dispose();
    expect(prepared.disposed).toBe(true);
  });

  it('shows what it is', () => {
    using weight = randomTensor([5, 100], 2);
    using plain = QuantLinear.from(weight, { format: nvfp4() });
    expect(String(plain)).toBe('QuantLinear(100 -> 5, nvfp4, 4.56 bits per weight)');
    using full = QuantLinear.from(weight, {
      format: int4({ group: 32 }),
      activations: int8(),
      rotation: hadamard(32, { seed: 7 }),
    });
    expect(String(full)).toBe(
      'QuantLinear(100 -> 5, int4-g32, activations int8-row, hadamard(32, seed 7), 5.00 bits per weight)',
    );
    expect(full.format).toEqual(int4({ group: 32 }));
    expect(full.activations).toEqual(int8());
    expect(full.weight.shape).toEqual([5, 128]);
  });

  it('refuses what does not fit, and frees what it made', async () => {
    using weight = randomTensor([5, 33]);
    using bias = randomTensor([4]);
    using vector = randomTensor([5]);
    await expectNoLeak(async () => {
      expect(await failure(() => QuantLinear.from(vector, { format: int8() }))).toBe(
        'QUTLASS_E_SHAPE weight: expected a matrix [outFeatures, inFeatures], got [5]',
      );
      expect(await failure(() => QuantLinear.from(weight, { format: int8(), bias }))).toBe(
        'QUTLASS_E_SHAPE bias: expected shape [5], got [4]',
      );
      expect(await failure(() => QuantLinear.from(weight, { format: int8(), activations: nf4() }))).toBe(
        'QUTLASS_E_FORMAT activations: expected a format that multiplies with int8, got nf4',
      );
      expect(await failure(() => QuantLinear.from(weight, { format: nf4(), activations: int8() }))).toBe(
        'QUTLASS_E_FORMAT activations: expected a format that multiplies with nf4, got int8-row',
      );
      using layer = QuantLinear.from(weight, { format: int8() });
      using x = randomTensor([2, 34]);
      expect(await failure(() => layer.forward(x))).toBe(
        'QUTLASS_E_SHAPE x: expected shape [.., 33], got [2, 34]',
      );
      for (const inFeatures of [0, 34, 1.5]) {
        expect(await failure(() => new QuantLinear({ weight: layer.weight, inFeatures }))).toBe(
          `QUTLASS_E_SHAPE inFeatures: expected 1 to 33, got ${inFeatures}`,
        );
      }
    });
    expect(bias.disposed).toBe(false);
  });

  it('is of no use after dispose()', async () => {
    using weight = randomTensor([5, 33]);
    const layer = QuantLinear.from(weight, { format: int8() });
    layer.dispose();
    using x = randomTensor([2, 33]);
    const disposed = 'QUTLASS_E_DISPOSED QuantLinear: used after dispose()';
    expect(await failure(() => layer.forward(x))).toBe(disposed);
    expect(await failure(() => layer.prepared)).toBe(disposed);
  });

  it('leaves the weight to the caller and frees the rest', async () => {
    using weight = randomTensor([5, 33]);
    await expectNoLeak(() => {
      for (const activations of [null, nvfp4()]) {
        using layer = QuantLinear.from(weight, {
          format: nvfp4(),
          activations,
          rotation: hadamard(16),
          bias: randomTensor([5]),
        });
        using x = randomTensor([2, 3, 33]);
        using _ = layer.forward(x);
      }
    });
    expect(weight.disposed).toBe(false);
  });
});

describe('layers that read the same input', () => {
  const weightOf = (rows: number, seed: number) => randomTensor([rows, 100], seed);
  const quantLinear = (rows: number, seed: number, format: Format, activations: Format | null = null) =>
    QuantLinear.from(weightOf(rows, seed), { format, activations, bias: randomTensor([rows], seed + 1) });
  const rotatedLinear = (rows: number, activations: Format | null) =>
    QuantLinear.from(weightOf(rows, 8), { format: mxfp4(), activations, rotation: hadamard(32) });

  const atInt8 = (layer: QuantLinear) => Object.assign(layer, { accuracy: 'int8' });

  it.each<[string, () => LinearModule[]]>([
    ['dense', () => [new Linear(weightOf(40, 2), randomTensor([40], 3)), new Linear(weightOf(9, 5))]],
    ['of one format', () => [40, 9, 33].map((rows) => quantLinear(rows, rows, int4({ group: 32 })))],
    ['of several formats', () => [quantLinear(40, 2, nvfp4()), new Linear(weightOf(9, 5))]],
    ['with quantized inputs', () => [40, 9].map((rows) => quantLinear(rows, rows, mxfp4(), mxfp4()))],
    [
      'with inputs quantized in several formats',
      () => [int8(), int4()].map((a) => quantLinear(9, 2, int8(), a)),
    ],
    ['rotated', () => [rotatedLinear(40, null), quantLinear(9, 2, mxfp4())]],
    ['of one accuracy', () => [40, 9].map((rows) => atInt8(quantLinear(rows, rows, nvfp4())))],
    ['of two accuracies', () => [quantLinear(40, 2, int4()), atInt8(quantLinear(9, 2, int4()))]],
    [
      'rotated with quantized inputs',
      () => [rotatedLinear(40, mxfp4()), quantLinear(9, 2, mxfp4(), mxfp4())],
    ],
  ])('give what each gives: %s', async (_, make) => {
    const layers = make();
    for (const rows of [1, 5, 20]) {
      using x = randomTensor([rows, 100], 7, 'bf16');
      const outs = LinearModule.forwardGroup(layers, x);
      for (const [index, layer] of layers.entries()) {
        using out = outs[index]!;
        using alone = layer.forward(x);
        expect(out.dtype).toBe('bf16');
        expect(await out.toBytes()).toEqual(await alone.toBytes());
      }
    }
    for (const layer of layers) layer.dispose();
  });

  it('refuse what one of them refuses', async () => {
    using fits = new Linear(weightOf(4, 2));
    using other = new Linear(randomTensor([4, 8], 2));
    using x = randomTensor([1, 100], 7);
    const expected = 'QUTLASS_E_SHAPE x: expected shape [.., 8], got [1, 100]';
    expect(await failure(() => LinearModule.forwardGroup([fits, other], x))).toBe(expected);
    fits.dispose();
    const disposed = 'QUTLASS_E_DISPOSED Linear: used after dispose()';
    expect(await failure(() => LinearModule.forwardGroup([fits], x))).toBe(disposed);
  });

  it('leave nothing behind', async () => {
    using layer = quantLinear(40, 2, mxfp4(), mxfp4());
    using x = randomTensor([3, 100], 7);
    layer.prepared;
    await expectNoLeak(() => {
      for (const out of LinearModule.forwardGroup([layer, layer], x)) out.dispose();
    });
  });
});
