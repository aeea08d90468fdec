import { bf16Value, blockedOffset, f16Value, type Golden, referenceDequantize } from '@qutlass/test-support';
import {
  codeDType,
  Device,
  type FloatDType,
  type Format,
  fp8,
  hasGlobalScale,
  int4,
  int8,
  type KernelInfo,
  loadBinding,
  type MatmulOptions,
  matmul,
  mxfp4,
  mxfp8,
  nvfp4,
  type OperandA,
  type OperandB,
  QuantizedTensor,
  QutlassError,
  rowScales,
  scaleShape,
  Tensor,
} from '../src/index.js';

// Operands together with the float64 values that they stand for. The values come from codes and scales by the formulas
// of the contract, not from the library.

/** The kernels that the device of this run has. */
export const KERNELS: readonly KernelInfo[] = loadBinding()
  .kernels()
  .filter((kernel) => kernel.device === Device.default.kind && kernel.available);

/** The product by one kernel, or undefined if it refuses the operands as unsupported. */
export function attempt(
  kernel: KernelInfo,
  a: OperandA,
  b: OperandB,
  options: Omit<MatmulOptions, 'kernel'> = {},
): Tensor<FloatDType> | undefined {
  try {
    // The pair is checked at run time.
    return matmul(a as QuantizedTensor, b as QuantizedTensor, { ...options, kernel: kernel.name });
  } catch (error) {
    if (error instanceof QutlassError && error.code === 'QUTLASS_E_UNSUPPORTED') return undefined;
    throw error;
  }
}

/** An operand and its values, [rows, cols]. */
export interface Operand<T> {
  readonly operand: T;
  readonly values: Float64Array;
}

/** The formats of the quantizers that the golden vectors are made with. */
export const GOLDEN_FORMATS: Readonly<Record<string, Format>> = {
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
  int4_g128: int4(),
  int4_g128_asym: int4({ zeroPoint: true }),
};

/** One operand of a golden product, put together from its parts. */
export function goldenOperand(
  golden: Golden,
  quantizer: string,
  side: 'a' | 'w',
): Operand<QuantizedTensor<Format, 'row'>> {
  const format = GOLDEN_FORMATS[quantizer];
  if (!format) throw new Error(`${golden.name}: no format is known for ${quantizer}`);
  const name = (part: string) => `${quantizer}.${side}.${part}`;
  const [rows = 0, cols = 0] = golden.shape(side);
  const codes = golden.bytes(name('codes'));
  const scales = golden.bytes(name('scales'));
  // Stored as integers of any width; the bytes of negative ones are their two's complement.
  const zeroPoints = format.zeroPoint ? Uint8Array.from(golden.integers(name('zero_points'))) : undefined;
  const globalScale = hasGlobalScale(format)
    ? golden.has(name('global_scale'))
      ? golden.floats(name('global_scale'))[0]
      : 3 // abs_max
    : undefined;
  const extent = scaleShape(format, rows, cols);
  return {
    operand: new QuantizedTensor(format, {
      rows,
      cols,
      codes: Tensor.fromBytes(codes, { shape: golden.shape(name('codes')), dtype: codeDType(format) }),
      scales: rowScales(Tensor.fromBytes(scales, { shape: extent, dtype: format.scaleDType })),
      scaleLayout: 'row',
      zeroPoints:
        zeroPoints &&
        Tensor.fromBytes(zeroPoints, { shape: extent, dtype: format.element === 'int8' ? 'i8' : 'u8' }),
      globalScale: globalScale === undefined ? undefined : Tensor.from([globalScale], { shape: [1] }),
    }),
    values: referenceDequantize({ codes, scales, zeroPoints, globalScale }, rows, cols, format),
  };
}

/** The values of a quantized matrix, in the rotated basis if it is rotated. */
export async function quantizedValues(q: QuantizedTensor): Promise<Float64Array> {
  const { format, rows, cols } = q;
  let scales = await q.scales.toBytes();
  if (q.scaleLayout === 'blocked128x4') {
    const [height, width] = scaleShape(format, rows, cols);
    const blocked = scales;
    scales = Uint8Array.from(
      { length: height * width },
      (_, i) => blocked[blockedOffset(Math.floor(i / width), i % width, width)] as number,
    );
  }
  return referenceDequantize(
    {
      codes: await q.codes.toBytes(),
      scales,
      zeroPoints: await q.zeroPoints?.toBytes(),
      globalScale: (await q.globalScale?.toArray())?.[0],
    },
    rows,
    cols,
    format,
  );
}

/** The values of a dense tensor, from its bits. */
export async function denseValues(x: Tensor<FloatDType>): Promise<Float64Array> {
  const data: ArrayLike<number> = await x.toArray();
  if (x.dtype === 'f32') return Float64Array.from(data);
  return Float64Array.from(data, x.dtype === 'bf16' ? bf16Value : f16Value);
}
