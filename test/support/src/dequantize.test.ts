import { describe, expect, it } from 'vitest';
import { bf16Bits } from './bf16.js';
import { blockedOffset } from './blocked.js';
import { referenceDequantize } from './dequantize.js';
import { decodeElement } from './elements.js';
import type { ReferenceFormat } from './format.js';
import { Golden, goldenFiles } from './golden.js';
import { f16Value } from './half.js';

// Two definitions that know nothing of each other, this one and that of the golden vectors, agree.

const codec = new Golden('codec.safetensors');

it.each(['e2m1', 'e4m3', 'e5m2', 'e8m0', 'e2m3', 'e3m2'] as const)(
  '%s decodes as the vectors do',
  (element) => {
    const expected = codec.floats(`${element}.decode`);
    expect(Float32Array.from(expected, (_, code) => decodeElement(element, code))).toEqual(expected);
  },
);

it('bf16 and f16 are those of the vectors', () => {
  const input = codec.floats('encode.input');
  expect(Array.from(input, bf16Bits)).toEqual(codec.integers('encode.bf16'));
  codec.integers('encode.f16').forEach((bits, i) => {
    const [value, x] = [f16Value(bits), input[i] as number];
    expect(Math.abs(value - x)).toBeLessThanOrEqual(Math.max(2 ** -11 * Math.abs(x), 2 ** -25));
  });
});

it('the blocked layout is that of the vectors', () => {
  const input = codec.bytes('swizzle.input');
  const output = codec.bytes('swizzle.output');
  const cols = codec.shape('swizzle.input')[1] as number;
  const gathered = Uint8Array.from(
    input,
    (_, i) => output[blockedOffset(Math.floor(i / cols), i % cols, cols)] as number,
  );
  expect(gathered).toEqual(input);
});

const format = (
  element: string,
  scaleDType: ReferenceFormat['scaleDType'],
  groupCols: number | 'all',
): ReferenceFormat => ({ element, scaleDType, groupRows: 1, groupCols });

const FORMATS: Readonly<Record<string, ReferenceFormat>> = {
  mxfp4_floor: format('e2m1', 'f8e8m0', 32),
  mxfp4_rceil: format('e2m1', 'f8e8m0', 32),
  mxfp4_abs_max: format('e2m1', 'f8e8m0', 32),
  mxfp4_quest: format('e2m1', 'f8e8m0', 32),
  mxfp8_e4m3_floor: format('e4m3', 'f8e8m0', 32),
  mxfp8_e4m3_rceil: format('e4m3', 'f8e8m0', 32),
  mxfp8_e5m2_floor: format('e5m2', 'f8e8m0', 32),
  nvfp4: format('e2m1', 'f8e4m3', 16),
  fp8_row: format('e4m3', 'f32', 'all'),
  int8_row: format('int8', 'f32', 'all'),
  int8_row_asym: format('int8', 'f32', 'all'),
  int4_g32: format('int4', 'f32', 32),
  int4_g128: format('int4', 'f32', 128),
  int4_g128_asym: format('uint4', 'f32', 128),
};

describe.each(goldenFiles('quantize_'))('$name', (golden) => {
  it.each(golden.quantizers('codes'))('%s', (quantizer) => {
    const reference = FORMATS[quantizer];
    if (!reference) throw new Error(`no format is known for ${quantizer}`);
    const [rows = 0, cols = 0] = golden.shape('input');
    const part = (name: string) => `${quantizer}.${name}`;
    const zeroPoints = part('zero_points');
    const globalScale = part('global_scale');
    const values = referenceDequantize(
      {
        codes: golden.bytes(part('codes')),
        scales: golden.bytes(part('scales')),
        zeroPoints: golden.has(zeroPoints) ? Uint8Array.from(golden.integers(zeroPoints)) : undefined,
        globalScale: golden.has(globalScale)
          ? golden.floats(globalScale)[0]
          : quantizer === 'mxfp4_abs_max'
            ? 3
            : undefined,
      },
      rows,
      cols,
      reference,
    );
    expect(Float32Array.from(values)).toEqual(golden.floats(part('dequantized')));
  });
});
