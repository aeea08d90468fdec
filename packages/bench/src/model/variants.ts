import { invalidArgument } from '@qutlass/core-kernels';
import {
  type Format,
  fp8,
  hadamard,
  int4,
  int8,
  mxfp4,
  mxfp8,
  nf4,
  nvfp4,
  type Rotation,
} from '@qutlass/quant';
import { parseOperands } from '../gemm/operands.js';
import { productName } from '../results/names.js';

/** One way to quantize the linear layers of a model. */
export interface Variant {
  /** null: as the checkpoint has them. */
  readonly weights: Format | null;
  readonly rotation?: Rotation;
  /** Of the inputs; default: not quantized. */
  readonly activations?: Format;
}

/** `nvfp4 + hadamard(16)` and the like; `unquantized` without a format. */
export function variantName({ weights, rotation, activations }: Variant): string {
  return productName(weights?.name ?? 'unquantized', activations?.name ?? null, rotation?.toString() ?? null);
}

const dense: Variant = { weights: null };

const weightOnly = [
  int8(),
  int8({ zeroPoint: true }),
  fp8(),
  fp8({ granularity: 'tensor' }),
  fp8({ granularity: '1x128' }),
  fp8({ granularity: '128x128' }),
  mxfp8(),
  mxfp8({ scale: 'rceil' }),
  ...([32, 64, 128] as const).flatMap((group) => [int4({ group }), int4({ group, zeroPoint: true })]),
  nf4(),
  nvfp4(),
  nvfp4({ fourSix: true }),
  ...(['floor', 'rceil', 'abs_max', 'quest'] as const).map((scale) => mxfp4({ scale })),
].map((weights): Variant => ({ weights }));

/** Hadamard sizes from the group of the format on: a smaller one would not spread an outlier over its group. */
const rotated: readonly Variant[] = [
  { weights: nvfp4(), sizes: [16, 32, 128] },
  { weights: nvfp4({ fourSix: true }), sizes: [16, 32, 128] },
  { weights: mxfp4(), sizes: [32, 128] },
  { weights: int4({ group: 32 }), sizes: [32, 128] },
  { weights: int4({ group: 128 }), sizes: [128] },
].flatMap(({ weights, sizes }) => sizes.map((size) => ({ weights, rotation: hadamard(size) })));

const activationsToo: readonly Variant[] = [
  { weights: int8(), activations: int8() },
  { weights: fp8(), activations: fp8() },
  { weights: mxfp8(), activations: mxfp8() },
  { weights: int4(), activations: int8() },
  { weights: nvfp4(), activations: nvfp4() },
  { weights: nvfp4(), activations: nvfp4(), rotation: hadamard(16) },
  { weights: mxfp4(), activations: mxfp4() },
  { weights: mxfp4(), activations: mxfp4(), rotation: hadamard(32) },
];

/** Everything that the accuracy table shows; the unquantized model comes first. */
export const VARIANTS: readonly Variant[] = [dense, ...weightOnly, ...rotated, ...activationsToo];

/**
 * `bf16` or `f32` for dense weights, `nvfp4`, `int8-row:int4-g128` with activations first, `mxfp4:mxfp4+32` with a Hadamard
 * rotation of that size.
 * @throws QutlassError `QUTLASS_E_FORMAT`, `QUTLASS_E_ARGUMENT`
 */
export function parseVariant(text: string): Variant {
  const [product = '', size, ...rest] = text.trim().split('+');
  if (rest.length > 0 || (size !== undefined && !/^\d+$/.test(size))) {
    const expected = "activations:weights+rotation as in 'mxfp4:mxfp4+32'";
    throw invalidArgument('QUTLASS_E_ARGUMENT', '--formats', expected, JSON.stringify(text));
  }
  const { a, weight } = parseOperands(product, 'bf16');
  if (typeof weight === 'string') return dense;
  return {
    weights: weight,
    ...(size !== undefined && { rotation: hadamard(Number(size)) }),
    ...(typeof a !== 'string' && { activations: a }),
  };
}

/** One format of each kind, a rotation, and activations in four bits. */
export const QUICK_VARIANTS: readonly Variant[] = [
  dense,
  ...[int8(), fp8(), mxfp8(), int4({ group: 32 }), nvfp4(), mxfp4()].map((weights) => ({ weights })),
  { weights: mxfp4(), rotation: hadamard(32) },
  { weights: nvfp4(), activations: nvfp4() },
];
