import {
  type Device,
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
import { type Format, QuantizedTensor, type Rotation } from '@qutlass/quant';
import { FORMAT_PAIRS, type OperandA, type OperandB } from './pairs.js';
import { PreparedWeight } from './prepare.js';

export interface MatmulOptions<D extends FloatDType = FloatDType> {
  /** [N], added after scaling. */
  bias?: Tensor<FloatDType>;
  /** Factor of the product, a number or one value on the device; default 1. */
  alpha?: number | Tensor<'f32'>;
  /** Default: the dtype of a dense A, bf16 for a quantized one. */
  outDType?: D;
  /** Run this kernel instead of the chosen one; see {@link explain} for the names. */
  kernel?: string;
}

/** A checked matrix multiplication, out[M, N] = alpha * A[M, K] B[N, K]^T + bias[N], as the kernels see it. */
export class Problem {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly outDType: FloatDType;
  /** Leading dimensions of A and N: the shape of the result. */
  readonly outShape: readonly number[];
  /** Equal for problems that choose the same kernel of a device. */
  readonly key: string;
  readonly #a: OperandA;
  readonly #b: Tensor<FloatDType> | QuantizedTensor;
  readonly #aRotation: RotationHandle | null;
  readonly #options: MatmulOptions;
  readonly #alpha: number;

  /** @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DTYPE`, `QUTLASS_E_FORMAT`, `QUTLASS_E_ARGUMENT` */
  constructor(a: OperandA, operandB: OperandB, options: MatmulOptions) {
    const b = operandB instanceof PreparedWeight ? operandB.weight : operandB;
    const { alpha = 1, bias } = options;
    requireSameDevice(a, b, bias, alpha instanceof Tensor ? alpha : undefined);
    requirePair(a, b);
    const aShape = a.shape;
    const [n, k, ...rest] = b.shape;
    if (n === undefined || k === undefined || rest.length > 0) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'b', 'a matrix [N, K]', shapeText(b.shape));
    }
    if (aShape.length < 2 || aShape.at(-1) !== k) {
      throw invalidArgument(
        'QUTLASS_E_SHAPE',
        'a',
        `shape [.., ${k}] as b [N, K] = ${shapeText(b.shape)}`,
        shapeText(aShape),
      );
    }
    if (bias && (bias.rank !== 1 || bias.size !== n)) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'bias', `shape [${n}]`, shapeText(bias.shape));
    }
    if (alpha instanceof Tensor && alpha.size !== 1) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'alpha', 'one value', shapeText(alpha.shape));
    }
    if (alpha instanceof Tensor && alpha.dtype !== 'f32') {
      throw invalidArgument('QUTLASS_E_DTYPE', 'alpha', 'f32', alpha.dtype);
    }
    this.n = n;
    this.k = k;
    this.m = aShape.reduce((x, y) => x * y, 1) / k;
    this.outDType = options.outDType ?? (a instanceof Tensor ? a.dtype : 'bf16');
    if (!isFloatDType(this.outDType)) {
      throw invalidArgument('QUTLASS_E_DTYPE', 'outDType', 'f32, bf16 or f16', String(this.outDType));
    }
    this.outShape = [...aShape.slice(0, -1), n];
    const rotation = b instanceof QuantizedTensor ? b.rotation : undefined;
    const rotateA = a instanceof Tensor ? rotation : undefined;
    this.#a = a;
    this.#b = b;
    this.#aRotation = rotateA?.native(a.device) ?? null;
    this.#options = options;
    // Both operands are rotated by H, so the product carries H H^T, the identity but for its gain.
    this.#alpha = (alpha instanceof Tensor ? 1 : alpha) / (rotation?.gain ?? 1);
    this.key = [
      operandKey(a),
      operandKey(b),
      rotateA ? `rotated${rotateA.size}` : '',
      this.m,
      n,
      k,
      this.outDType,
    ].join('/');
  }

  /** Bytes that a kernel has to move at least. */
  get bytes(): number {
    const out = this.m * this.n * (this.outDType === 'f32' ? 4 : 2);
    return this.#a.byteLength + this.#b.byteLength + out;
  }

  /** Additions and multiplications. */
  get operations(): number {
    return 2 * this.m * this.n * this.k;
  }

  get device(): Device {
    return this.#a.device;
  }

  /** Why the kernel cannot run this problem, or null. The data are not read. */
  refusal(kernel: number, out: Tensor<FloatDType>): Error | null {
    return this.#withArguments(out, (problem) => loadBinding().matmulSupported(kernel, ...problem));
  }

  /** Enqueues the kernel. */
  run(kernel: number, out: Tensor<FloatDType>): void {
    const stream = this.device.stream.handle;
    this.#withArguments(out, (problem) => loadBinding().matmul(stream, kernel, ...problem));
  }

  /** `bf16[16, 4096] x nvfp4[4096, 4096] -> bf16` */
  toString(): string {
    const text = (x: OperandA) => `${x instanceof Tensor ? x.dtype : x.format.name}${shapeText(x.shape)}`;
    return `${text(this.#a)} x ${text(this.#b)} -> ${this.outDType}`;
  }

  #withArguments<T>(out: Tensor<FloatDType>, body: (problem: MatmulProblem) => T): T {
    const { alpha, bias } = this.#options;
    const a = this.#a;
    // The kernels take matrices; a view of a tensor of higher rank costs no copy.
    using matrix = a instanceof Tensor && a.rank !== 2 ? a.reshape([this.m, this.k]) : undefined;
    return body([
      (matrix ?? a).handle,
      this.#b.handle,
      this.#aRotation,
      this.#alpha,
      alpha instanceof Tensor ? alpha.handle : null,
      bias?.handle ?? null,
      out.handle,
    ]);
  }
}

function operandKey(operand: OperandA): string {
  return operand instanceof Tensor ? operand.dtype : `${operand.format.name}:${operand.scaleLayout}`;
}

function requirePair(a: OperandA, b: Tensor<FloatDType> | QuantizedTensor): void {
  for (const [name, operand] of [
    ['a', a],
    ['b', b],
  ] as const) {
    if (operand instanceof Tensor && !isFloatDType(operand.dtype)) {
      throw invalidArgument(
        'QUTLASS_E_DTYPE',
        name,
        'f32, bf16 or f16, or a quantized tensor',
        operand.dtype,
      );
    }
  }
  if (a instanceof Tensor) return;
  const partners: readonly string[] = FORMAT_PAIRS[a.format.kind];
  const kind = b instanceof Tensor ? b.dtype : b.format.kind;
  if (!partners.includes(kind)) {
    const expected = partners.length ? partners.join(' or ') : 'a dense a: this format is for weights only';
    throw invalidArgument('QUTLASS_E_FORMAT', `b of a product with ${a.format.kind}`, expected, kind);
  }
  requireSameRotation(a.rotation, (b as QuantizedTensor<Format>).rotation);
}

function requireSameRotation(a: Rotation | undefined, b: Rotation | undefined): void {
  if (a === b || (a && b && a.equals(b))) return;
  throw invalidArgument('QUTLASS_E_FORMAT', 'rotation', `${b ?? 'none'} on a, as on b`, String(a ?? 'none'));
}
