import { Random, selected } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  type FloatDType,
  formatByName,
  hadamard,
  matmul,
  matmulGroup,
  type QuantizedTensor,
  quantize,
  type Rotation,
  rotation,
  scope,
  Tensor,
  type Weight,
} from '../src/index.js';
import { failure, memoryInUse } from './failure.js';
import { KERNELS } from './operands.js';

// Activations that are quantized on the way in: whatever a kernel does, its result is that of quantizing them before.

const random = new Random(31);

const PAIRS = [
  ['nvfp4', 'nvfp4'],
  ['nvfp4-4over6', 'nvfp4'],
  ['mxfp4', 'mxfp8'],
  ['mxfp4-rceil', 'mxfp4'],
  ['mxfp4-abs_max', 'mxfp4'],
  ['mxfp4-quest', 'mxfp4'],
  ['mxfp8-e5m2', 'mxfp8'],
  ['fp8-tensor', 'fp8-row'],
  ['fp8-row', 'fp8-row'],
  ['fp8-1x128', 'fp8-128x128'],
  ['fp8-128x128', 'fp8-128x128'],
  ['int8-tensor', 'int8-row'],
  ['int8-row', 'int8-row'],
  ['int8-row-asym', 'int8-row-asym'],
  ['int8-row', 'int4-g32-asym'],
  ['int4-g32', 'int8-row'],
  ['int4-g128-asym-f16', 'int4-g128'],
  ['int4-row', 'int4-row'],
] as const;

/** Up to more columns than kernels take at once, and no multiple of what their threads take together. */
const EXTENTS = selected(
  [
    { m: 1, k: 256 },
    { m: 1, k: 4224 },
    { m: 2, k: 640 },
    { m: 3, k: 4224 },
    { m: 8, k: 1152 },
    { m: 8, k: 4224 },
    { m: 19, k: 384 },
  ],
  3,
);

function values(m: number, k: number): Float32Array {
  const data = random.normals(m * k);
  for (let row = 0; row < m; ++row) {
    const size = 2 ** random.integer(-6, 6);
    for (let col = 0; col < k; ++col) data[row * k + col]! *= size;
  }
  data.fill(0, 0, 128);
  return data;
}

function weightOf(name: string, n: number, k: number, by?: Rotation): QuantizedTensor {
  using x = Tensor.from(random.normals(n * k), { shape: [n, k] });
  return quantize(x, formatByName(name), by ? { rotation: by } : {});
}

/** Compares bytes on every kernel that takes the product. */
async function expectSame(x: Tensor<FloatDType>, name: string, weight: Weight): Promise<void> {
  const activations = formatByName(name);
  const by = weight.rotation;
  using a = quantize(x, activations, by ? { rotation: by } : {});
  using bias = Tensor.from(random.normals(weight.shape[0]!), { shape: [weight.shape[0]!] });
  let compared = 0;
  for (const { name: kernel } of KERNELS) {
    const options = { kernel, bias, alpha: 0.75, outDType: 'f32' } as const;
    let expected: Tensor;
    try {
      expected = matmul(a, weight, options);
    } catch (error) {
      expect(error).toMatchObject({ code: 'QUTLASS_E_UNSUPPORTED' });
      expect(() => matmul(x, weight, { ...options, activations })).toThrow((error as Error).message);
      continue;
    }
    using out = matmul(x, weight, { ...options, activations });
    expect(await out.toBytes(), kernel).toEqual(await expected.toBytes());
    expected.dispose();
    ++compared;
  }
  expect(compared).toBeGreaterThan(0);
}

describe.each(EXTENTS)('$m rows of $k', ({ m, k }) => {
  it.each(PAIRS)('%s x %s', async (left, right) => {
    using weight = weightOf(right, 21, k);
    for (const dtype of ['bf16', 'f16', 'f32'] as const) {
      using x = Tensor.from(values(m, k), { shape: [m, k], dtype });
      await expectSame(x, left, weight);
    }
  });

  it.each(['nvfp4', 'int8-row', 'fp8-row', 'mxfp4'])('%s with damage in it', async (name) => {
    using weight = weightOf(name, 21, k);
    for (const damage of [NaN, Infinity, -Infinity, 3e38]) {
      const data = values(m, k);
      data[k - 3] = damage;
      using x = Tensor.from(data, { shape: [m, k] });
      await expectSame(x, name, weight);
    }
    using zeros = Tensor.zeros([m, k], 'bf16');
    await expectSame(zeros, name, weight);
  });

  it.each([hadamard(32, { seed: 3 }), rotation(random.normals(16 * 16, 0.25), 16)])(
    'rotated by %s',
    async (by) => {
      using x = Tensor.from(values(m, k), { shape: [m, k], dtype: 'bf16' });
      for (const name of ['nvfp4', 'int8-row']) {
        using weight = weightOf(name, 21, k, by);
        await expectSame(x, name, weight);
      }
    },
  );
});

it('leading dimensions stay', () => {
  using weight = weightOf('int8-row', 8, 64);
  using x = Tensor.zeros([2, 3, 64], 'bf16');
  using out = matmul(x, weight, { activations: formatByName('int8-row') });
  expect(out.shape).toEqual([2, 3, 8]);
  expect(out.dtype).toBe('bf16');
});

it.each([1, 2, 40])('%d rows with several weights', async (m) => {
  using x = Tensor.from(values(m, 512), { shape: [m, 512], dtype: 'bf16' });
  for (const name of ['nvfp4', 'int8-row']) {
    const activations = formatByName(name);
    const factors = [33, 16, 7].map((n) => ({ b: weightOf(name, n, 512) }));
    const outs = matmulGroup(x, factors, { activations });
    for (const [index, { b }] of factors.entries()) {
      using single = matmul(x, b, { activations });
      expect(await outs[index]!.toBytes()).toEqual(await single.toBytes());
      outs[index]!.dispose();
      b.dispose();
    }
  }
});

it('memory for what is quantized goes back', () => {
  const before = memoryInUse();
  scope(() => {
    const weight = weightOf('nvfp4', 8, 256);
    for (const m of [1, 100]) {
      matmul(Tensor.zeros([m, 256], 'bf16'), weight, { activations: formatByName('nvfp4') });
    }
  });
  expect(memoryInUse()).toEqual(before);
});

it('what does not fit is refused', () => {
  using x = Tensor.zeros([4, 96], 'bf16');
  using weight = weightOf('int8-row', 8, 96);
  const product = (name: string, b: Weight = weight) => matmul(x, b, { activations: formatByName(name) });
  expect(failure(() => product('nvfp4'))).toBe(
    'QUTLASS_E_FORMAT b of a product with nvfp4: expected nvfp4, got int8',
  );
  expect(failure(() => product('nf4'))).toBe(
    'QUTLASS_E_FORMAT b of a product with nf4: expected a dense a: this format is for weights only, got int8',
  );
  expect(failure(() => product('int4-g128'))).toBe(
    'QUTLASS_E_SHAPE a: expected columns in whole groups of 128, got shape [4, 96]',
  );
  using a = quantize(x, formatByName('int8-row'));
  const untyped = matmul as (a: unknown, b: Weight, options: object) => Tensor;
  expect(failure(() => untyped(a, weight, { activations: formatByName('int8-row') }))).toBe(
    'QUTLASS_E_ARGUMENT activations: expected none for an a that is quantized, got int8-row',
  );
  expect(failure(() => untyped(x, x as never, { activations: formatByName('int8-row') }))).toBe(
    'QUTLASS_E_FORMAT b of a product with int8: expected int8 or int4, got bf16',
  );
});
