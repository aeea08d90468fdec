import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  type BlockedScales,
  blockedScales,
  explain,
  type FloatDType,
  type Format,
  fp8,
  fromBlocked,
  type HostArray,
  type Int4,
  int4,
  int8,
  type MxFp4,
  matmul,
  matmulExperts,
  matmulInt4Bf16Tn,
  matmulInt8Bf16Tn,
  matmulMxf4Bf16Tn,
  matmulMxf8Bf16Tn,
  matmulNvf4Bf16Tn,
  mxfp4,
  mxfp8,
  type NvFp4,
  nf4,
  nvfp4,
  type PartnerOf,
  type PreparedWeight,
  prepare,
  QuantizedTensor,
  quantize,
  type RowScales,
  rowScales,
  Tensor,
  toBlocked,
} from '../src/index.js';

// What must not compile is in functions that are never called: the compiler reads them, `tsc -p .` fails on an
// expect-error comment above a line that compiles. What must compile is checked by its type, and runs where it can.

declare const x: Tensor<'f32'>;
declare const dense: Tensor<'bf16'>;
declare const codes: Tensor<'i32'>;

describe('pairs of formats', () => {
  it('are refused by the compiler where they do not exist', () => {
    const pairs = () => {
      // @ts-expect-error nvfp4 has another group and scale than mxfp4
      matmul(quantize(x, nvfp4()), quantize(x, mxfp4()));
      // @ts-expect-error mxfp4 has another group and scale than nvfp4
      matmul(quantize(x, mxfp4()), quantize(x, nvfp4()));
      // @ts-expect-error nf4 is for weights only
      matmul(quantize(x, nf4()), quantize(x, nf4()));
      // @ts-expect-error integers do not multiply with fp8
      matmul(quantize(x, int8()), quantize(x, fp8()));
      // @ts-expect-error fp8 does not multiply with integers
      matmul(quantize(x, fp8()), quantize(x, int8()));
      // @ts-expect-error fp8 under float scales is not mxfp8
      matmul(quantize(x, mxfp8()), quantize(x, fp8()));
      // @ts-expect-error nf4 has no integer values
      matmul(quantize(x, int8()), quantize(x, nf4()));
      // @ts-expect-error as of matmul
      matmulExperts(quantize(x, int8()), quantize(x, nf4()), codes);
      // @ts-expect-error offsets are integers
      matmulExperts(x, quantize(x, nf4()), x);
      // @ts-expect-error a dense weight beside a quantized activation
      matmul(quantize(x, int8()), dense);
      // @ts-expect-error also when the weight is prepared
      matmul(quantize(x, nvfp4()), prepare(quantize(x, mxfp4())));
      // @ts-expect-error explain takes the pairs of matmul
      explain(quantize(x, nvfp4()), quantize(x, mxfp4()));
      // @ts-expect-error activations as nvfp4 do not multiply with mxfp4
      matmul(x, quantize(x, mxfp4()), { activations: nvfp4() });
      // @ts-expect-error nor does nf4 with anything
      matmul(x, quantize(x, nf4()), { activations: nf4() });
      // @ts-expect-error a dense weight beside activations that are quantized
      matmul(x, dense, { activations: int8() });
      // @ts-expect-error they are quantized already
      matmul(quantize(x, int8()), quantize(x, int8()), { activations: int8() });
      // @ts-expect-error a prepared weight is not an activation
      matmul(prepare(quantize(x, int8())), quantize(x, int8()));
    };
    expect(pairs).toBeTypeOf('function');
  });

  it('are accepted where they exist', () => {
    const pairs = () => {
      expectTypeOf(matmul(quantize(x, mxfp4()), quantize(x, mxfp8()))).toEqualTypeOf<Tensor<'bf16'>>();
      expectTypeOf(matmul(quantize(x, mxfp8()), quantize(x, mxfp4()))).toEqualTypeOf<Tensor<'bf16'>>();
      expectTypeOf(matmul(quantize(x, int4()), quantize(x, int8()))).toEqualTypeOf<Tensor<'bf16'>>();
      expectTypeOf(matmul(quantize(x, int8()), prepare(quantize(x, int4())))).toEqualTypeOf<Tensor<'bf16'>>();
      expectTypeOf(matmul(quantize(x, nvfp4()), quantize(x, nvfp4({ fourSix: true })))).toEqualTypeOf<
        Tensor<'bf16'>
      >();
      expectTypeOf(matmul(dense, quantize(x, nf4()))).toEqualTypeOf<Tensor<'bf16'>>();
      expectTypeOf(matmul(dense, prepare(quantize(x, nf4())))).toEqualTypeOf<Tensor<'bf16'>>();
      expectTypeOf(matmul(x, quantize(x, int4()), { activations: int8() })).toEqualTypeOf<Tensor<'f32'>>();
      expectTypeOf(matmul(dense, x)).toEqualTypeOf<Tensor<'bf16'>>();
    };
    expect(pairs).toBeTypeOf('function');
    expectTypeOf<PartnerOf<'mxfp4'>['kind']>().toEqualTypeOf<'mxfp4' | 'mxfp8'>();
    expectTypeOf<PartnerOf<'nf4'>['kind']>().toEqualTypeOf<never>();
  });

  it('are left to the run time where the formats are not known', () => {
    const unknown = (a: QuantizedTensor, b: QuantizedTensor) => {
      expectTypeOf(matmul(a, b)).toEqualTypeOf<Tensor<'bf16'>>();
      expectTypeOf(matmul(a, prepare(b), { outDType: 'f16' })).toEqualTypeOf<Tensor<'f16'>>();
    };
    expect(unknown).toBeTypeOf('function');
  });
});

describe('the dtype of the result', () => {
  it('is that of a dense a, bf16 for a quantized one, or the one asked for', () => {
    const results = (a: Tensor<FloatDType>) => {
      expectTypeOf(matmul(x, dense)).toEqualTypeOf<Tensor<'f32'>>();
      expectTypeOf(matmul(x, dense, { outDType: 'f16' })).toEqualTypeOf<Tensor<'f16'>>();
      expectTypeOf(matmul(quantize(x, int8()), quantize(x, int8()), { outDType: 'f32' })).toEqualTypeOf<
        Tensor<'f32'>
      >();
      expectTypeOf(matmul(a, dense)).toEqualTypeOf<Tensor<FloatDType>>();
    };
    expect(results).toBeTypeOf('function');
  });

  it('and those of the operands are floats', () => {
    const wrong = () => {
      // @ts-expect-error integers are not activations
      matmul(codes, dense);
      // @ts-expect-error integers are not weights
      matmul(dense, codes);
      // @ts-expect-error results are floats
      matmul(dense, dense, { outDType: 'i32' });
      // @ts-expect-error a bias is a float
      matmul(dense, dense, { bias: codes });
      // @ts-expect-error alpha on the device is float32
      matmul(dense, dense, { alpha: dense });
      // @ts-expect-error exactly these options
      matmul(dense, dense, { outDtype: 'f32' });
      // @ts-expect-error integers are not quantized
      quantize(codes, int8());
    };
    expect(wrong).toBeTypeOf('function');
  });
});

describe('layouts of scales', () => {
  const rows = (scales: RowScales) => scales;
  const blocked = (scales: BlockedScales) => scales;

  it('are not taken for one another', () => {
    const wrong = (row: RowScales, block: BlockedScales, plain: Tensor<'f8e8m0'>) => {
      // @ts-expect-error blocked where rows are meant
      rows(block);
      // @ts-expect-error rows where blocked is meant
      blocked(row);
      // @ts-expect-error a plain tensor has no layout
      rows(plain);
      // @ts-expect-error a plain tensor has no layout
      blocked(plain);
      // @ts-expect-error already blocked
      toBlocked(block);
      // @ts-expect-error not blocked
      fromBlocked(row, 1, 1);
      // @ts-expect-error blocked scales are single bytes
      blockedScales(x);
      // @ts-expect-error int32 is no dtype of scales
      rowScales(codes);
    };
    expect(wrong).toBeTypeOf('function');
    const right = (row: RowScales, block: BlockedScales) => {
      expectTypeOf(toBlocked(row)).toEqualTypeOf<BlockedScales>();
      expectTypeOf(fromBlocked(block, 1, 1)).toEqualTypeOf<RowScales>();
      expectTypeOf(rowScales(x)).toEqualTypeOf<RowScales>();
    };
    expect(right).toBeTypeOf('function');
  });

  it('are part of the type of a quantized tensor', () => {
    const types = (row: QuantizedTensor<MxFp4, 'row'>, block: QuantizedTensor<MxFp4, 'blocked128x4'>) => {
      const needsRows = (q: QuantizedTensor<Format, 'row'>) => q;
      needsRows(row);
      // @ts-expect-error scales in blocks
      needsRows(block);
      expectTypeOf(row.scales).toEqualTypeOf<RowScales>();
      expectTypeOf(block.scales).toEqualTypeOf<BlockedScales>();
      expectTypeOf(row.withScaleLayout('blocked128x4')).toEqualTypeOf<typeof block>();
      expectTypeOf(prepare(block)).toEqualTypeOf<PreparedWeight<MxFp4>>();
      expectTypeOf(prepare(block).weight).toEqualTypeOf<typeof row>();
      expectTypeOf(quantize(x, nvfp4(), { scaleLayout: 'blocked128x4' })).toEqualTypeOf<
        QuantizedTensor<NvFp4, 'blocked128x4'>
      >();
      const { rows: height, cols, codes } = row;
      const parts = { rows: height, cols, codes, scaleLayout: 'row' } as const;
      new QuantizedTensor<MxFp4, 'row'>(mxfp4(), { ...parts, scales: row.scales });
      // @ts-expect-error blocked scales declared to be rows
      new QuantizedTensor<MxFp4, 'row'>(mxfp4(), { ...parts, scales: block.scales });
      // @ts-expect-error also when the layout is inferred
      new QuantizedTensor(mxfp4(), { ...parts, scales: block.scales });
      // @ts-expect-error no such layout
      row.withScaleLayout('column');
    };
    expect(types).toBeTypeOf('function');
  });

  it('are part of the types of the QuTLASS names', () => {
    const calls = (
      u8: Tensor<'u8'>,
      i8: Tensor<'i8'>,
      f8: Tensor<'f8e4m3'>,
      s: BlockedScales,
      row: RowScales,
    ) => {
      expectTypeOf(matmulMxf4Bf16Tn(u8, u8, s, s)).toEqualTypeOf<Tensor<'bf16'>>();
      expectTypeOf(matmulMxf8Bf16Tn(f8, f8, s, s, 2)).toEqualTypeOf<Tensor<'bf16'>>();
      expectTypeOf(matmulNvf4Bf16Tn(u8, u8, s, s, x)).toEqualTypeOf<Tensor<'bf16'>>();
      // @ts-expect-error these kernels read blocked scales
      matmulMxf4Bf16Tn(u8, u8, row, s);
      // @ts-expect-error e4m3 codes are not packed nibbles
      matmulMxf4Bf16Tn(f8, u8, s, s);
      // @ts-expect-error nibbles are not e4m3 codes
      matmulMxf8Bf16Tn(u8, u8, s, s);
      // @ts-expect-error packed int4 codes are bytes
      matmulInt4Bf16Tn(i8, u8, x, x);
      // @ts-expect-error int8 codes are signed
      matmulInt8Bf16Tn(i8, u8, x, x);
      // @ts-expect-error scales are floats
      matmulInt8Bf16Tn(i8, i8, codes, x);
    };
    expect(calls).toBeTypeOf('function');
  });
});

it('operands of real products keep their types', async () => {
  using a = Tensor.from(new Float32Array(64).fill(1), { shape: [2, 32] });
  using w = quantize(a, int4({ group: 32 }));
  expectTypeOf(w).toEqualTypeOf<QuantizedTensor<Int4, 'row'>>();
  using y = matmul(a, w, { outDType: 'bf16' });
  expectTypeOf(y).toEqualTypeOf<Tensor<'bf16'>>();
  expectTypeOf(await y.toArray()).toEqualTypeOf<HostArray<'bf16'>>();
  expect(y.dtype).toBe('bf16');
});
