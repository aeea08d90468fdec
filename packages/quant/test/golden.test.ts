import { Golden, goldenFiles } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  decode,
  dequantize,
  type Element,
  encode,
  type Format,
  fp8,
  fromBlocked,
  int4,
  int8,
  mxfp4,
  mxfp8,
  nvfp4,
  quantize,
  rowScales,
  Tensor,
  toBlocked,
} from '../src/index.js';

// The vectors come from NumPy and ml_dtypes; results must equal them byte for byte.

const FORMAT_OF: Readonly<Record<string, Format>> = {
  mxfp4_floor: mxfp4(),
  mxfp4_rceil: mxfp4({ scale: 'rceil' }),
  mxfp4_abs_max: mxfp4({ scale: 'abs_max' }),
  mxfp4_quest: mxfp4({ scale: 'quest' }),
  mxfp8_e4m3_floor: mxfp8(),
  mxfp8_e4m3_rceil: mxfp8({ scale: 'rceil' }),
  mxfp8_e5m2_floor: mxfp8({ element: 'e5m2' }),
  nvfp4: nvfp4(),
  fp8_row: fp8(),
  int8_row: int8(),
  int8_row_asym: int8({ zeroPoint: true }),
  int4_g32: int4({ group: 32 }),
  int4_g128: int4({ group: 128 }),
  int4_g128_asym: int4({ group: 128, zeroPoint: true }),
};

function formatOf(quantizer: string): Format {
  const format = FORMAT_OF[quantizer];
  if (!format) throw new Error(`no format is known for the golden quantizer ${quantizer}`);
  return format;
}

const bytesOf = async (tensor: Tensor | undefined) => [...((await tensor?.toBytes()) ?? [])];

/** Quantizes a golden input and compares every part; `operand` is `a.` or `w.` in the file of a product. */
async function expectQuantized(
  golden: Golden,
  quantizer: string,
  input: string,
  operand: string,
): Promise<void> {
  const shape = golden.shape(input);
  const name = (part: string) => `${quantizer}.${operand}${part}`;
  using x = Tensor.from(golden.floats(input), { shape });
  using q = quantize(x, formatOf(quantizer), { clipMask: golden.has(name('mask')) });
  expect(await bytesOf(q.codes)).toEqual([...golden.bytes(name('codes'))]);
  expect(await bytesOf(q.scales)).toEqual([...golden.bytes(name('scales'))]);
  if (golden.has(name('zero_points'))) {
    expect([...((await q.zeroPoints?.toArray()) ?? [])]).toEqual(golden.integers(name('zero_points')));
  }
  if (golden.has(name('global_scale'))) {
    expect(await bytesOf(q.globalScale)).toEqual([...golden.bytes(name('global_scale'))]);
  }
  if (golden.has(name('mask'))) expect(await bytesOf(q.clipMask)).toEqual([...golden.bytes(name('mask'))]);
  if (golden.has(name('dequantized'))) {
    using values = dequantize(q);
    // NaN has many bit patterns.
    expect(await values.toFloat32Array()).toEqual(golden.floats(name('dequantized')));
  }
}

describe.each(goldenFiles('quantize_'))('$name', (golden) => {
  it.each(golden.quantizers('codes'))('%s equals the oracle', async (quantizer) => {
    await expectQuantized(golden, quantizer, 'input', '');
  });

  it.each(golden.quantizers('codes'))('%s is the same from bf16', async (quantizer) => {
    // The inputs are exact in bf16.
    using wide = Tensor.from(golden.floats('input'), { shape: golden.shape('input') });
    using narrow = wide.to('bf16');
    using q = quantize(narrow, formatOf(quantizer));
    expect(await bytesOf(q.codes)).toEqual([...golden.bytes(`${quantizer}.codes`)]);
  });
});

describe.each(goldenFiles('gemm_'))('operands of $name', (golden) => {
  const quantizers = golden.quantizers('both');
  it.each(quantizers)('%s quantizes a and w as the oracle does', async (quantizer) => {
    await expectQuantized(golden, quantizer, 'a', 'a.');
    await expectQuantized(golden, quantizer, 'w', 'w.');
  });
});

describe('codec', () => {
  const golden = new Golden('codec.safetensors');

  it.each(golden.quantizers('decode'))('decodes every code of %s', async (element) => {
    const expected = golden.floats(`${element}.decode`);
    using codes = Tensor.from(Uint8Array.from(expected.keys()), { shape: [expected.length], dtype: 'u8' });
    using values = decode(codes, element as Element);
    const actual = await values.toFloat32Array();
    // NaN has many bit patterns.
    expect(actual.map((value) => (Number.isNaN(value) ? 1 : 0))).toEqual(
      expected.map((value) => (Number.isNaN(value) ? 1 : 0)),
    );
    for (const [code, value] of expected.entries()) {
      if (!Number.isNaN(value)) expect(Object.is(actual[code], value), `code ${code}`).toBe(true);
    }
  });

  it.each(['e2m1', 'e4m3', 'e5m2'] as const)('encodes to %s as the oracle does', async (element) => {
    const input = golden.floats('encode.input');
    using x = Tensor.from(input, { shape: [input.length] });
    using codes = encode(x, element);
    expect(await bytesOf(codes)).toEqual([...golden.bytes(`encode.${element}`)]);
  });

  it.each(['bf16', 'f16'] as const)('rounds to %s as the oracle does', async (dtype) => {
    const input = golden.floats('encode.input');
    using x = Tensor.from(input, { shape: [input.length] });
    using rounded = x.to(dtype);
    expect([...(await rounded.toArray())]).toEqual(golden.integers(`encode.${dtype}`));
  });

  it.each(['e2m1', 'e2m3', 'e3m2', 'e4m3', 'e5m2', 'e8m0'] as const)(
    'encodes what it decodes: %s',
    async (element) => {
      const values = golden.floats(`${element}.decode`);
      const finite = [...values.keys()].filter((code) => Number.isFinite(values[code]));
      using x = Tensor.from(
        Float32Array.from(finite, (code) => values[code]!),
        { shape: [finite.length] },
      );
      using codes = encode(x, element);
      expect(await bytesOf(codes)).toEqual(finite);
    },
  );

  it('swizzles scales to the blocked layout and back', async () => {
    const [rows = 0, groups = 0] = golden.shape('swizzle.input');
    using bytes = Tensor.from(golden.bytes('swizzle.input'), { shape: [rows, groups], dtype: 'u8' });
    using scales = rowScales(bytes.bitcast('f8e8m0'));
    using blocked = toBlocked(scales);
    expect(await bytesOf(blocked)).toEqual([...golden.bytes('swizzle.output')]);
    using back = fromBlocked(blocked, rows, groups);
    expect(await bytesOf(back)).toEqual([...golden.bytes('swizzle.input')]);
  });
});
