import {
  type Device,
  type FloatDType,
  invalidArgument,
  loadBinding,
  produce,
  type RotationHandle,
  Tensor,
  unscoped,
} from '@qutlass/core-kernels';

const KINDS = { identity: 0, hadamard: 1, matrix: 2 } as const;

/**
 * A rotation y = reshape(x, [-1, size]) @ H of the values along K. It spreads outliers over a group before quantizing, and
 * cancels in a product of two rotated operands. A value: it has no memory to dispose.
 */
export class Rotation {
  readonly kind: keyof typeof KINDS;
  readonly size: number;
  /** Of a randomized Hadamard rotation. */
  readonly seed: number | undefined;
  /** The mean of diag(H H^T): 1, but for the rounding of H to bf16. Products of rotated operands are divided by it. */
  readonly gain: number;
  readonly #data: Int8Array | Uint16Array | undefined;
  readonly #natives = new WeakMap<Device, { handle: RotationHandle; data: Tensor | undefined }>();

  /** @internal Use {@link hadamard}, {@link rotation} or {@link identity}. */
  constructor(
    kind: keyof typeof KINDS,
    size: number,
    gain: number,
    data?: Int8Array | Uint16Array,
    seed?: number,
  ) {
    this.kind = kind;
    this.size = size;
    this.gain = gain;
    this.#data = data;
    this.seed = seed;
  }

  /** Whether both rotate in the same way, so that they cancel in a product. */
  equals(other: Rotation): boolean {
    if (this === other) return true;
    if (this.kind !== other.kind || this.size !== other.size) return false;
    const [a, b] = [this.#data, other.#data];
    return a === undefined ? b === undefined : b !== undefined && a.every((value, i) => value === b[i]);
  }

  /** `hadamard(16)`, as tables print it. */
  toString(): string {
    if (this.kind === 'identity') return 'identity';
    return `${this.kind}(${this.size}${this.seed === undefined ? '' : `, seed ${this.seed}`})`;
  }

  /** What a saved model stores: {@link rotationFromJSON} reads it. */
  toJSON(): RotationJSON {
    if (this.kind === 'hadamard')
      return { kind: 'hadamard', size: this.size, ...(this.seed !== undefined && { seed: this.seed }) };
    if (this.kind === 'matrix') return { kind: 'matrix', size: this.size, bits: [...(this.#data ?? [])] };
    return { kind: 'identity' };
  }

  /** The native handle on a device, for code that adds operations; null for the identity. */
  native(device: Device): RotationHandle | null {
    if (this.kind === 'identity') return null;
    let native = this.#natives.get(device);
    if (!native) {
      const data = this.#data && unscoped(() => this.#upload(device, this.#data!));
      native = {
        handle: loadBinding().rotationCreate(KINDS[this.kind], this.size, data?.handle ?? null),
        data,
      };
      this.#natives.set(device, native);
    }
    return native.handle;
  }

  #upload(device: Device, data: Int8Array | Uint16Array): Tensor {
    return data instanceof Int8Array
      ? Tensor.from(data, { shape: [this.size], dtype: 'i8', device })
      : Tensor.from(data, { shape: [this.size, this.size], dtype: 'bf16', device });
  }
}

export type RotationJSON =
  | { kind: 'identity' }
  | { kind: 'hadamard'; size: number; seed?: number }
  | { kind: 'matrix'; size: number; bits: number[] };

const IDENTITY = new Rotation('identity', 1, 1);

/** No rotation; costs nothing. */
export function identity(): Rotation {
  return IDENTITY;
}

export interface HadamardOptions {
  /** Flips the signs of inputs at random before the transform; the same seed gives the same signs. */
  seed?: number;
}

/**
 * The Sylvester Hadamard matrix of a power of two from 2 to 16384, entries +-bf16(size^-0.5), made by butterflies. With a
 * seed: diag(signs) @ H.
 */
export function hadamard(size: number, { seed }: HadamardOptions = {}): Rotation {
  if (!Number.isInteger(size) || size < 2 || size > 16384 || (size & (size - 1)) !== 0) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'size', 'a power of two from 2 to 16384', String(size));
  }
  const entry = bf16Value(roundToBf16(size ** -0.5));
  const signs = seed === undefined ? undefined : randomSigns(size, seed);
  return new Rotation('hadamard', size, size * entry * entry, signs, seed);
}

/** Any matrix [size, size], row-major, given at run time and rounded to bf16. It should be orthogonal. */
export function rotation(matrix: Float32Array | readonly number[], size: number): Rotation {
  if (!Number.isInteger(size) || size < 1 || size > 16384 || matrix.length !== size * size) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'matrix', `${size} x ${size} elements`, String(matrix.length));
  }
  const bits = Uint16Array.from(matrix, roundToBf16);
  let sum = 0;
  for (const value of bits) sum += bf16Value(value) ** 2;
  if (!Number.isFinite(sum) || sum === 0) {
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      'matrix',
      'finite elements, not all zero',
      `a squared norm of ${sum}`,
    );
  }
  return new Rotation('matrix', size, sum / size, bits);
}

export function rotationFromJSON(json: RotationJSON): Rotation {
  if (json.kind === 'identity') return identity();
  if (json.kind === 'hadamard')
    return hadamard(json.size, json.seed === undefined ? {} : { seed: json.seed });
  return rotation(Float32Array.from(json.bits, bf16Value), json.size);
}

/** x [.., K] rotated along K, rounded to the dtype of x. */
export function rotate<D extends FloatDType>(x: Tensor<D>, by: Rotation): Tensor<D> {
  const handle = by.native(x.device);
  if (!handle) return x.clone();
  return produce(x.shape, x.dtype, x.device, (native, stream, out) =>
    native.rotate(stream, x.handle, handle, out),
  );
}

const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);

/** The bits of the nearest bf16, ties to even. */
function roundToBf16(value: number): number {
  floats[0] = value;
  const bits = words[0]!;
  return Number.isNaN(value) ? 0x7fc0 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function bf16Value(bits: number): number {
  words[0] = bits << 16;
  return floats[0]!;
}

/** Signs from splitmix32. */
function randomSigns(size: number, seed: number): Int8Array {
  let state = seed >>> 0;
  return Int8Array.from({ length: size }, () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) & 1 ? -1 : 1;
  });
}
