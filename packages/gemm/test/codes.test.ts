import { Random, referenceMatmul } from '@qutlass/test-support';
import { expect, it } from 'vitest';
import {
  codeDType,
  Device,
  type Format,
  fp8,
  hasGlobalScale,
  int4,
  int8,
  mxfp4,
  mxfp8,
  nvfp4,
  prepare,
  QuantizedTensor,
  quantize,
  rowScales,
  scaleShape,
  Tensor,
} from '../src/index.js';
import { attempt, denseValues, KERNELS, quantizedValues } from './operands.js';

const K = 128;

/** A weight of these codes [rows, K] under scales of 1. */
function weightOf(format: Format, rows: number, codes: Uint8Array): QuantizedTensor {
  const extent = scaleShape(format, rows, K);
  const count = extent[0]! * extent[1]!;
  const scales =
    format.scaleDType === 'f8e8m0' || format.scaleDType === 'f8e4m3'
      ? Tensor.fromBytes(new Uint8Array(count).fill(format.scaleDType === 'f8e8m0' ? 127 : 0x38), {
          shape: extent,
          dtype: format.scaleDType,
        })
      : Tensor.from(new Float32Array(count).fill(1), { shape: extent, dtype: 'f32' });
  return new QuantizedTensor(format, {
    rows,
    cols: K,
    codes: Tensor.fromBytes(codes, { shape: [rows, codes.length / rows], dtype: codeDType(format) }),
    scales: rowScales(scales),
    scaleLayout: 'row',
    globalScale: hasGlobalScale(format) ? Tensor.from([1], { shape: [1] }) : undefined,
  });
}

it.each([
  fp8(),
  fp8({ element: 'e5m2' }),
  fp8({ granularity: '1x128', element: 'e5m2' }),
  mxfp8(),
  mxfp8({ element: 'e5m2' }),
  int8(),
  int4({ group: 'row' }),
  int4({ group: 32 }),
  mxfp4(),
  nvfp4(),
])('every code of $name is multiplied as its value, infinity and NaN as well', async (format) => {
  // Row r has byte r everywhere. Sums of a few times a value are exact.
  const bytes = ['e2m1', 'int4'].includes(format.element) ? K / 2 : K;
  using weight = weightOf(
    format,
    256,
    Uint8Array.from({ length: 256 * bytes }, (_, i) => Math.floor(i / bytes)),
  );
  using prepared = prepare(weight);
  const values = await quantizedValues(weight);
  const random = new Random(3);
  for (const m of [1, 35]) {
    const factors = Float32Array.from({ length: m * K }, (_, i) => (i < K ? 1 : random.integer(-2, 2)));
    const { exact } = referenceMatmul(factors, values, [m, 256, K]);
    for (const dtype of ['f32', 'bf16'] as const) {
      using a = Tensor.from(factors, { shape: [m, K], dtype });
      for (const b of [weight, prepared]) {
        for (const kernel of KERNELS) {
          using y = attempt(kernel, a, b, { outDType: 'f32' });
          if (!y) continue;
          // Zeros of any sign are equal. A GPU splits numbers, and infinity times a part that is 0 is NaN.
          const out = (await y.toFloat32Array()).map((x, i) =>
            Device.default.kind === 'cuda' && Number.isNaN(x) && !Number.isFinite(exact[i]!)
              ? exact[i]!
              : x + 0,
          );
          expect(out, kernel.name).toEqual(Float32Array.from(exact, (x) => x + 0));
        }
      }
    }
  }
});

/** Numbers that a kernel for bf16 pairs may take as zeros. */
it('products of numbers below the normal ones are not lost', async () => {
  const random = new Random(4);
  for (const m of [1, 9]) {
    // Large numbers of A meet zeros of the weight.
    const data = Float32Array.from({ length: m * K }, (_, i) =>
      i % 2 ? random.normal() * 2 ** -120 : 2 ** 60,
    );
    using a = Tensor.from(data, { shape: [m, K], dtype: 'bf16' });
    using x = Tensor.from(
      random.normals(32 * K).map((value, i) => (i % 2 ? value : 0)),
      { shape: [32, K] },
    );
    for (const format of [int4({ group: 32 }), fp8(), mxfp8(), nvfp4()]) {
      using weight = quantize(x, format);
      using prepared = prepare(weight);
      const product = referenceMatmul(await denseValues(a), await quantizedValues(weight), [m, 32, K]);
      for (const kernel of KERNELS) {
        using y = attempt(kernel, a, prepared, { outDType: 'f32' });
        if (!y) continue;
        expect(await denseValues(y), kernel.name).toBeWithinBound(product, {
          outDType: 'f32',
          accumulator: kernel.accumulator,
        });
      }
    }
  }
});
