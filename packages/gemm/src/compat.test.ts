import { bf16Bits, blockedOffset, decodeElement, Random, type ReferenceElement } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { failure } from '../test/failure.js';
import { denseValues } from '../test/operands.js';
import {
  type BlockedScales,
  blockedScales,
  type CodeDType,
  matmulInt4Bf16Tn,
  matmulInt8Bf16Tn,
  matmulMxf4Bf16Tn,
  matmulMxf8Bf16Nn,
  matmulMxf8Bf16Tn,
  matmulNvf4Bf16Tn,
  scope,
  Tensor,
} from './index.js';

// Codes and scales are drawn at random; the values that they stand for and their products are exact in float64, so the
// result has to be the nearest bf16. Terms are multiples of one power of two that a float32 sum holds.

/** A matrix of codes under blocked scales. */
function blockScaled(
  random: Random,
  rows: number,
  cols: number,
  element: ReferenceElement,
  group: number,
  scaleElement: 'e8m0' | 'e4m3',
) {
  const codes = Uint8Array.from({ length: rows * cols }, () => drawCode(random, element));
  const groups = cols / group;
  const scales = Uint8Array.from({ length: rows * groups }, () =>
    scaleElement === 'e8m0' ? random.integer(125, 129) : random.integer(4, 8) * 8,
  );
  const size = Math.ceil(rows / 128) * Math.ceil(groups / 4) * 512;
  const blocked = new Uint8Array(size);
  scales.forEach((scale, i) => {
    blocked[blockedOffset(Math.floor(i / groups), i % groups, groups)] = scale;
  });
  const values = Float64Array.from(
    codes,
    (code, i) =>
      decodeElement(element, code) * decodeElement(scaleElement, scales[Math.floor(i / group)] as number),
  );
  const dtype: 'f8e8m0' | 'f8e4m3' = `f8${scaleElement}`;
  return { codes, values, rows, cols, blocked, dtype };
}

/** Codes of e4m3 are drawn between 1/4 and 4, so that the sums are exact. */
function drawCode(random: Random, element: ReferenceElement): number {
  if (element !== 'e4m3') return random.integer(0, 15);
  return random.integer(0x28, 0x48) + 0x80 * random.integer(0, 1);
}

const pack = (codes: ArrayLike<number>) =>
  Uint8Array.from(
    { length: codes.length / 2 },
    (_, i) => ((codes[2 * i] as number) & 15) | (((codes[2 * i + 1] as number) & 15) << 4),
  );

interface Values {
  readonly values: Float64Array;
  readonly rows: number;
  readonly cols: number;
}

/** bf16 bits of alpha A B^T. */
function exactBits(a: Values, b: Values, alpha = 1): number[] {
  const bits: number[] = [];
  for (let row = 0; row < a.rows; ++row) {
    for (let col = 0; col < b.rows; ++col) {
      let sum = 0;
      for (let i = 0; i < a.cols; ++i) {
        sum += (a.values[row * a.cols + i] as number) * (b.values[col * b.cols + i] as number);
      }
      bits.push(bf16Bits(alpha * sum));
    }
  }
  return bits;
}

const packed = ({ codes, rows, cols }: { codes: Uint8Array; rows: number; cols: number }) =>
  Tensor.fromBytes(pack(codes), { shape: [rows, cols / 2], dtype: 'u8' });

const scalesOf = ({ blocked, dtype }: ReturnType<typeof blockScaled>) =>
  blockedScales(Tensor.fromBytes(blocked, { shape: [blocked.length], dtype }));

const SHAPES = [
  [1, 8, 128],
  [5, 33, 96],
  [130, 136, 160],
] as const;

describe.each(SHAPES)('M, N, K = %i, %i, %i', (m, n, k) => {
  const random = new Random(m);

  it('matmulMxf4Bf16Tn', async () => {
    const a = blockScaled(random, m, k, 'e2m1', 32, 'e8m0');
    const b = blockScaled(random, n, k, 'e2m1', 32, 'e8m0');
    using y = scope(() => matmulMxf4Bf16Tn(packed(a), packed(b), scalesOf(a), scalesOf(b)));
    expect(y.shape).toEqual([m, n]);
    expect([...(await y.toArray())]).toEqual(exactBits(a, b));
    using half = scope(() => matmulMxf4Bf16Tn(packed(a), packed(b), scalesOf(a), scalesOf(b), 0.5));
    expect([...(await half.toArray())]).toEqual(exactBits(a, b, 0.5));
  });

  it('matmulNvf4Bf16Tn', async () => {
    const a = blockScaled(random, m, k, 'e2m1', 16, 'e4m3');
    const b = blockScaled(random, n, k, 'e2m1', 16, 'e4m3');
    using alpha = Tensor.from([0.25], { shape: [1] });
    using y = scope(() => matmulNvf4Bf16Tn(packed(a), packed(b), scalesOf(a), scalesOf(b), alpha));
    expect([...(await y.toArray())]).toEqual(exactBits(a, b, 0.25));
    using plain = scope(() => matmulNvf4Bf16Tn(packed(a), packed(b), scalesOf(a), scalesOf(b)));
    expect([...(await plain.toArray())]).toEqual(exactBits(a, b));
  });

  it('matmulMxf8Bf16Tn and matmulMxf8Bf16Nn', async () => {
    const a = blockScaled(random, m, k, 'e4m3', 32, 'e8m0');
    const b = blockScaled(random, n, k, 'e4m3', 32, 'e8m0');
    using codesA = Tensor.fromBytes(a.codes, { shape: [m, k], dtype: 'f8e4m3' });
    using codesB = Tensor.fromBytes(b.codes, { shape: [n, k], dtype: 'f8e4m3' });
    using y = scope(() => matmulMxf8Bf16Tn(codesA, codesB, scalesOf(a), scalesOf(b)));
    expect([...(await y.toArray())]).toEqual(exactBits(a, b));
    const columns = Uint8Array.from(
      { length: m * k },
      (_, i) => a.codes[(i % m) * k + Math.floor(i / m)] as number,
    );
    using transposed = Tensor.fromBytes(columns, { shape: [k, m], dtype: 'f8e4m3' });
    using z = scope(() => matmulMxf8Bf16Nn(transposed, codesB, scalesOf(a), scalesOf(b)));
    expect(await z.toArray()).toEqual(await y.toArray());
  });
});

describe('IntLASS products', () => {
  const draw = (random: Random, rows: number, cols: number, low: number, high: number) => ({
    codes: Int8Array.from({ length: rows * cols }, () => random.integer(low, high)),
    rows,
    cols,
  });
  type Codes = ReturnType<typeof draw>;
  // Powers of two, so that the product is exact.
  const drawScales = (random: Random, count: number) =>
    Float32Array.from({ length: count }, () => 2 ** random.integer(-6, 2));
  const scaled = ({ codes, rows, cols }: Codes, scales: Float32Array): Values => ({
    values: Float64Array.from(
      codes,
      (code, i) => code * (scales[scales.length === 1 ? 0 : Math.floor(i / cols)] as number),
    ),
    rows,
    cols,
  });
  const int8Codes = ({ codes, rows, cols }: Codes) =>
    Tensor.from(codes, { shape: [rows, cols], dtype: 'i8' });
  const int4Codes = ({ codes, rows, cols }: Codes) =>
    Tensor.from(pack(codes), { shape: [rows, cols / 2], dtype: 'u8' });

  it.each([
    [3, 4, 18, 'tensor'],
    [5, 3, 34, 'row'],
  ] as const)('matmulInt4Bf16Tn, M, N, K = %i, %i, %i, scales per %s', async (m, n, k, per) => {
    const random = new Random(k);
    const [a, b] = [draw(random, m, k, -8, 7), draw(random, n, k, -8, 7)];
    const [sa, sb] = [drawScales(random, per === 'row' ? m : 1), drawScales(random, per === 'row' ? n : 1)];
    for (const dtype of ['f32', 'bf16', 'f16'] as const) {
      using scaleA = Tensor.from(sa, { shape: [sa.length], dtype });
      using scaleB = Tensor.from(sb, { shape: per === 'row' ? [n, 1] : [1], dtype });
      using y = scope(() => matmulInt4Bf16Tn(int4Codes(a), int4Codes(b), scaleA, scaleB));
      expect(y.shape).toEqual([m, n]);
      expect([...(await y.toArray())]).toEqual(exactBits(scaled(a, sa), scaled(b, sb)));
    }
  });

  it.each([
    [3, 4, 17, 'tensor'],
    [5, 3, 33, 'row'],
  ] as const)('matmulInt8Bf16Tn, M, N, K = %i, %i, %i, scales per %s', async (m, n, k, per) => {
    const random = new Random(k);
    const [a, b] = [draw(random, m, k, -128, 127), draw(random, n, k, -128, 127)];
    const [sa, sb] = [drawScales(random, per === 'row' ? m : 1), drawScales(random, per === 'row' ? n : 1)];
    using scaleA = Tensor.from(sa, { shape: [sa.length] });
    using scaleB = Tensor.from(sb, { shape: [sb.length] });
    using y = scope(() => matmulInt8Bf16Tn(int8Codes(a), int8Codes(b), scaleA, scaleB));
    expect([...(await y.toArray())]).toEqual(exactBits(scaled(a, sa), scaled(b, sb)));
  });

  it('refuses scales that are neither one nor one per row', () => {
    using a = Tensor.zeros([3, 16], 'i8');
    using scale = Tensor.zeros([2], 'f32');
    using one = Tensor.zeros([1], 'f32');
    expect(failure(() => matmulInt8Bf16Tn(a, a, scale, one))).toBe(
      'QUTLASS_E_SHAPE scales: expected shape [3, 1], got [2, 1]',
    );
    expect(failure(() => matmulInt8Bf16Tn(a, a, one, scale))).toBe(
      'QUTLASS_E_SHAPE scales: expected shape [3, 1], got [2, 1]',
    );
  });
});

describe('operands', () => {
  const scales = (bytes: number) => blockedScales(Tensor.zeros([bytes], 'f8e8m0'));

  it("stay the caller's", async () => {
    using codes = Tensor.zeros([4, 32], 'u8');
    using sf: BlockedScales = scales(512);
    using y = matmulMxf4Bf16Tn(codes, codes, sf, sf);
    expect([...(await denseValues(y))]).toEqual(new Array(16).fill(0));
    expect([codes.disposed, sf.disposed]).toEqual([false, false]);
  });

  it('are refused where they do not fit', () => {
    using codes = Tensor.zeros([4, 32], 'u8');
    using narrow = Tensor.zeros([4, 16], 'u8');
    using sf = scales(512);
    using large = scales(1024);
    expect(failure(() => matmulMxf4Bf16Tn(codes, codes, sf, large))).toBe(
      'QUTLASS_E_SHAPE scales: expected shape [512], got [1024]',
    );
    expect(failure(() => matmulMxf4Bf16Tn(codes, narrow, sf, sf))).toBe(
      'QUTLASS_E_SHAPE a: expected shape [.., 32] as b [N, K] = [4, 32], got [4, 64]',
    );
    expect(failure(() => matmulNvf4Bf16Tn(codes, codes, sf, sf))).toBe(
      'QUTLASS_E_DTYPE scales: expected f8e4m3, got f8e8m0',
    );
    const wrong = codes as Tensor<CodeDType> as Tensor<'f8e4m3'>;
    expect(failure(() => matmulMxf8Bf16Tn(wrong, wrong, sf, sf))).toBe(
      'QUTLASS_E_DTYPE codes: expected f8e4m3, got u8',
    );
  });
});
