import {
  type Device,
  DTYPES,
  type FloatDType,
  invalidArgument,
  isFloatDType,
  loadBinding,
  type MatmulProblem,
  type RotationHandle,
  requireSameDevice,
  shapeText,
  Tensor,
} from '@qutlass/core-kernels';
import { type Format, type FormatKind, nativeFormat, QuantizedTensor, type Rotation } from '@qutlass/quant';
import type { Workload } from './model.js';
import { FORMAT_PAIRS, type OperandA, type OperandB } from './pairs.js';
import type { OperandKind } from './precision.js';
import { PreparedWeight } from './prepare.js';

/** What kernels may do to a dense A under a quantized B; the numbers are those of `qutlass_accuracy`. */
const ACCURACIES: Readonly<Record<Accuracy, number>> = { exact: 0, int8: 1 };

/**
 * - `exact`: its values are multiplied as they are.
 * - `int8`: kernels may round them to int8 in groups of 32 to 128 along K, each with a scale of its own, as ONNX Runtime does
 *   at `accuracy_level` 4 and ggml always, or by rows where the weight has one scale for a row. An element changes by
 *   amax / 254 at most, amax being the largest of its group or row. On a CPU this is several times faster where A has many
 *   rows; the kernels of a GPU stay exact.
 */
export type Accuracy = 'exact' | 'int8';

export interface MatmulOptions<D extends FloatDType = FloatDType> {
  /** [N], added after scaling. */
  bias?: Tensor<FloatDType> | undefined;
  /** Factor of the product, a number or one value on the device; default 1. */
  alpha?: number | Tensor<'f32'> | undefined;
  /** Default: the dtype of a dense A, bf16 for a quantized one. */
  outDType?: D | undefined;
  /** Of a dense A under a quantized B; default `exact`. */
  accuracy?: Accuracy | undefined;
  /** Run this kernel instead of the chosen one; see {@link explain} for the names. */
  kernel?: string | undefined;
}

/** Options of a product that quantizes its A. */
export interface QuantizingOptions<D extends FloatDType = FloatDType, K extends FormatKind = FormatKind>
  extends MatmulOptions<D> {
  /**
   * Quantize a dense A to this format on the way in, rotated as B is: the product is that of what `quantize()` makes of it,
   * in fewer launches and without memory for it.
   */
  activations: Format<K>;
}

/** Options of a product, whether it quantizes its A or not. */
export type ProblemOptions = MatmulOptions & { activations?: Format | undefined };

/**
 * A checked matrix multiplication, out[M, N] = alpha * A[M, K] B[N, K]^T + bias[N], as the kernels see it. Made for every
 * product, so what only a choice of kernel needs is worked out when asked for.
 */
export class Problem implements Workload {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly outDType: FloatDType;
  readonly accuracy: Accuracy;
  /** A prepared weight stands here as what it holds. */
  readonly operandA: OperandA;
  readonly operandB: Tensor<FloatDType> | QuantizedTensor;
  readonly #activations: Format | undefined;
  readonly #aRotation: RotationHandle | null;
  readonly #bias: Tensor<FloatDType> | undefined;
  readonly #alpha: number;
  readonly #alphaTensor: Tensor<'f32'> | undefined;

  /**
   * experts: of how many B and bias hold N rows each, one under the other; undefined for one product of all rows.
   * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DTYPE`, `QUTLASS_E_FORMAT`, `QUTLASS_E_ARGUMENT`
   */
  constructor(a: OperandA, operandB: OperandB, options: ProblemOptions, experts?: number) {
    const b = operandB instanceof PreparedWeight ? operandB.weight : operandB;
    const { alpha = 1, bias, activations } = options;
    const alphaTensor = alpha instanceof Tensor ? alpha : undefined;
    requireSameDevice(a, b, bias, alphaTensor);
    requirePair(a, activations, b);
    const aShape = a.shape;
    const bShape = b.shape;
    const rows = bShape[0];
    const k = bShape[1];
    if (rows === undefined || k === undefined || bShape.length > 2) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'b', 'a matrix [N, K]', shapeText(bShape));
    }
    const last = aShape.length - 1;
    if (last < 1 || aShape[last] !== k) {
      throw invalidArgument(
        'QUTLASS_E_SHAPE',
        'a',
        `shape [.., ${k}] as b [N, K] = ${shapeText(bShape)}`,
        shapeText(aShape),
      );
    }
    const n = rows / (experts ?? 1);
    if (!Number.isInteger(n)) {
      const expected = `shape [${experts} * N, K], the rows of ${experts} experts`;
      throw invalidArgument('QUTLASS_E_SHAPE', 'b', expected, shapeText(bShape));
    }
    if (bias) requireBias(bias, experts === undefined ? [n] : [experts, n]);
    if (alphaTensor && alphaTensor.size !== 1) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'alpha', 'one value', shapeText(alphaTensor.shape));
    }
    if (alphaTensor && alphaTensor.dtype !== 'f32') {
      throw invalidArgument('QUTLASS_E_DTYPE', 'alpha', 'f32', alphaTensor.dtype);
    }
    this.outDType = options.outDType ?? (a instanceof Tensor ? a.dtype : 'bf16');
    if (!isFloatDType(this.outDType)) {
      throw invalidArgument('QUTLASS_E_DTYPE', 'outDType', 'f32, bf16 or f16', String(this.outDType));
    }
    this.accuracy = options.accuracy ?? 'exact';
    if (!Object.hasOwn(ACCURACIES, this.accuracy)) {
      throw invalidArgument('QUTLASS_E_ARGUMENT', 'accuracy', 'exact or int8', String(this.accuracy));
    }
    let m = 1;
    for (let i = 0; i < last; ++i) m *= aShape[i]!;
    this.m = m;
    this.n = n;
    this.k = k;
    this.operandA = a;
    this.operandB = b;
    this.#activations = activations;
    this.#bias = bias;
    const rotation = b instanceof QuantizedTensor ? b.rotation : undefined;
    this.#aRotation = rotation && a instanceof Tensor ? rotation.native(a.device) : null;
    // Both operands are rotated by H, so the product carries H H^T, the identity but for its gain.
    this.#alpha = (typeof alpha === 'number' ? alpha : 1) / (rotation?.gain ?? 1);
    this.#alphaTensor = alphaTensor;
  }

  /** Leading dimensions of A and N: the shape of the result. */
  get outShape(): readonly number[] {
    const { shape } = this.operandA;
    return shape.length === 2 ? [this.m, this.n] : [...shape.slice(0, -1), this.n];
  }

  /** What A holds when it is multiplied. */
  get a(): OperandKind {
    return this.#activations?.kind ?? kindOf(this.operandA);
  }

  /** What B holds. */
  get b(): OperandKind {
    return kindOf(this.operandB);
  }

  /** Bytes that a kernel has to move at least. */
  get bytes(): number {
    const out = this.m * this.n * DTYPES[this.outDType].bytes;
    return this.operandA.byteLength + this.operandB.byteLength + out;
  }

  /** Additions and multiplications. */
  get operations(): number {
    return 2 * this.m * this.n * this.k;
  }

  get device(): Device {
    return this.operandA.device;
  }

  /** Equal for problems that choose the same kernel of a device. Part of the tuning cache, so it stays as it is. */
  get key(): string {
    const rotated = this.#aRotation ? ` rotated ${(this.operandB as QuantizedTensor).rotation?.size}` : '';
    const extents = `[${this.m}, ${this.n}, ${this.k}]`;
    const quantized = this.#activations ? ` as ${this.#activations.name}` : '';
    const rounded = this.accuracy === 'exact' ? '' : ` by ${this.accuracy}`;
    const a = `${operandKey(this.operandA)}${quantized}`;
    return `${a} x ${operandKey(this.operandB)}${rotated}${rounded} -> ${this.outDType} ${extents}`;
  }

  /** As {@link key}, among problems with this very B: a number that costs nothing to make. */
  get variant(): number {
    const a = this.operandA;
    // Three float dtypes, and formats count up from 1; the last part is for how A comes by its format.
    const kind =
      a instanceof Tensor
        ? (this.#activations ? formatId(this.#activations) : 0) * 5 + DTYPES[a.dtype].id
        : formatId(a.format) * 5 + (a.scaleLayout === 'row' ? 3 : 4);
    const result = DTYPES[this.outDType].id * 2 + ACCURACIES[this.accuracy];
    return (kind * 6 + result) * 2 ** 31 + this.m;
  }

  /** Why the kernel cannot run this problem, or null. The data are not read. */
  refusal(kernel: number, out: Tensor<FloatDType>): Error | null {
    return loadBinding().matmulSupported(kernel, ...this.native(out));
  }

  /** Enqueues the kernel. */
  run(kernel: number, out: Tensor<FloatDType>): void {
    loadBinding().matmul(this.device.stream.handle, kernel, ...this.native(out));
  }

  /** The problem as the binding takes it. */
  native(out: Tensor<FloatDType>): MatmulProblem {
    return [
      this.operandA.handle,
      this.operandB.handle,
      this.#aRotation,
      this.#activations ? nativeFormat(this.#activations) : null,
      this.#alpha,
      this.#alphaTensor?.handle ?? null,
      this.#bias?.handle ?? null,
      out.handle,
      ACCURACIES[this.accuracy],
    ];
  }

  /** `bf16[16, 4096] x nvfp4[4096, 4096] -> bf16` */
  toString(): string {
    const text = (x: OperandA) => `${x instanceof Tensor ? x.dtype : x.format.name}${shapeText(x.shape)}`;
    const quantized = this.#activations ? ` as ${this.#activations.name}` : '';
    return `${text(this.operandA)}${quantized} x ${text(this.operandB)} -> ${this.outDType}`;
  }
}

function kindOf(operand: OperandA): OperandKind {
  return operand instanceof Tensor ? operand.dtype : operand.format.kind;
}

/** `bf16`, or a format, and the layout of its scales unless that is `row`. */
function operandKey(operand: OperandA): string {
  if (operand instanceof Tensor) return operand.dtype;
  const { format, scaleLayout } = operand;
  return scaleLayout === 'row' ? format.name : `${format.name}:${scaleLayout}`;
}

const formatIds = new Map<string, number>();

/** A small number for each format, from 1 on. */
function formatId({ name }: Format): number {
  let id = formatIds.get(name);
  if (id === undefined) {
    id = formatIds.size + 1;
    formatIds.set(name, id);
  }
  return id;
}

function requirePair(
  a: OperandA,
  activations: Format | undefined,
  b: Tensor<FloatDType> | QuantizedTensor,
): void {
  requireFloat('a', a);
  requireFloat('b', b);
  if (activations && !(a instanceof Tensor)) {
    const expected = 'none for an a that is quantized';
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'activations', expected, activations.name);
  }
  const format = a instanceof Tensor ? activations : a.format;
  if (!format) return;
  const partners: readonly string[] = FORMAT_PAIRS[format.kind];
  const kind = kindOf(b);
  if (!partners.includes(kind)) {
    const expected = partners.length ? partners.join(' or ') : 'a dense a: this format is for weights only';
    throw invalidArgument('QUTLASS_E_FORMAT', `b of a product with ${format.kind}`, expected, kind);
  }
  if (!(a instanceof Tensor)) requireSameRotation(a.rotation, (b as QuantizedTensor<Format>).rotation);
}

function requireBias({ shape }: Tensor<FloatDType>, expected: readonly number[]): void {
  if (shape.length === expected.length && shape.every((extent, i) => extent === expected[i])) return;
  throw invalidArgument('QUTLASS_E_SHAPE', 'bias', `shape ${shapeText(expected)}`, shapeText(shape));
}

function requireFloat(name: string, operand: OperandA): void {
  if (!(operand instanceof Tensor) || isFloatDType(operand.dtype)) return;
  throw invalidArgument(
    'QUTLASS_E_DTYPE',
    name,
    'f32, bf16 or f16, or a quantized tensor',
    (operand as Tensor).dtype,
  );
}

function requireSameRotation(a: Rotation | undefined, b: Rotation | undefined): void {
  if (a === b || (a && b && a.equals(b))) return;
  throw invalidArgument('QUTLASS_E_FORMAT', 'rotation', `${b ?? 'none'} on a, as on b`, String(a ?? 'none'));
}
