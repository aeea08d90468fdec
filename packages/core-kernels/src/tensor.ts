import { Device } from './device.js';
import { DTYPES, type DType, type FloatDType, type HostArray, isDType, isFloatDType } from './dtype.js';
import { invalidArgument, QutlassError } from './errors.js';
import { loadBinding } from './loader.js';
import type { NativeBinding, StreamHandle, TensorHandle } from './native.js';
import type { RandomOptions } from './ops/fill.js';
import { Resource } from './resource.js';

const MAX_RANK = 4;

// Handles of disposed tensors, for new ones: making one and collecting it takes longer than the rest of a tensor.
const released: TensorHandle[] = [];
const MAX_RELEASED = 64;

export interface TensorOptions<D extends DType> {
  /** Extents, outermost first; 1 to 4 of them, all positive. */
  shape: readonly number[];
  dtype?: D;
  /** Default: {@link Device.default}. */
  device?: Device;
}

/** The numbers a tensor can be made from; `Uint16Array` carries the bits of bf16 or f16. */
export type TensorSource =
  | readonly number[]
  | Float32Array
  | Uint16Array
  | Int32Array
  | Int8Array
  | Uint8Array;

/** The dtype of {@link Tensor.from} unless one is given. */
export type DefaultDType<S extends TensorSource> = S extends Uint16Array
  ? 'bf16'
  : S extends Int32Array
    ? 'i32'
    : S extends Int8Array
      ? 'i8'
      : S extends Uint8Array
        ? 'u8'
        : 'f32';

/**
 * A dense, contiguous, row-major tensor in device memory.
 *
 * Operations return at once and run later, in order; only reading is asynchronous.
 */
export class Tensor<D extends DType = DType> extends Resource {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly device: Device;
  #handle: TensorHandle | null;

  private constructor(handle: TensorHandle, dtype: D, shape: readonly number[], device: Device) {
    super();
    this.#handle = handle;
    this.dtype = dtype;
    this.shape = shape;
    this.device = device;
  }

  /** Uninitialized memory, like all tensors on {@link Device.default} unless a device is given. */
  static empty<D extends DType>(shape: readonly number[], dtype: D, device?: Device): Tensor<D> {
    return Tensor.#create(shape, dtype, device, null);
  }

  static #create<D extends DType>(
    shape: readonly number[],
    dtype: D,
    device: Device = Device.default,
    host: NodeJS.TypedArray | null,
  ): Tensor<D> {
    const size = requireShape(shape);
    const { id, bytes } = dtypeInfo(dtype);
    const spare = released.pop() ?? null;
    const handle = loadBinding().tensorCreate(device.handle, id, shape, size * bytes, host, spare);
    return new Tensor(handle, dtype, Object.freeze([...shape]), device);
  }

  /** A tensor around a native handle, which it takes over: for code that adds operations. */
  static adopt<D extends DType>(
    handle: TensorHandle,
    dtype: D,
    shape: readonly number[],
    device: Device,
  ): Tensor<D> {
    return new Tensor(handle, dtype, Object.freeze([...shape]), device);
  }

  /** Random numbers made on the device: see {@link fillRandom}. */
  static random<D extends DType>(
    shape: readonly number[],
    {
      seed = 0,
      deviation = 1,
      dtype,
      device,
    }: Omit<TensorOptions<D>, 'shape'> & { dtype: D } & RandomOptions,
  ): Tensor<D> {
    const out = Tensor.empty(shape, dtype, device);
    try {
      loadBinding().fillRandom(out.device.stream.handle, seed, deviation, out.handle);
    } catch (error) {
      out.dispose();
      throw error;
    }
    return out;
  }

  static zeros<D extends DType>(shape: readonly number[], dtype: D, device?: Device): Tensor<D> {
    const bytes = requireShape(shape) * dtypeInfo(dtype).bytes;
    return Tensor.#create(shape, dtype, device, hostZeros(bytes));
  }

  /**
   * Copies numbers from the host, at once: inside a graph capture they are constants of the graph. Without `dtype`,
   * arrays of numbers and Float32Array give f32, the integer arrays their own dtype, and Uint16Array (bits) bf16.
   * Float32 data are rounded to the nearest value of a narrower float dtype.
   * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DTYPE`
   */
  static from<D extends DType>(data: TensorSource, options: TensorOptions<D> & { dtype: D }): Tensor<D>;
  static from<S extends TensorSource>(
    data: S,
    options: Omit<TensorOptions<DType>, 'dtype'>,
  ): Tensor<DefaultDType<S>>;
  static from(data: TensorSource, options: TensorOptions<DType>): Tensor {
    const size = requireShape(options.shape);
    const source = hostArray(data);
    const dtype = options.dtype ?? defaultDType(source);
    const { bytes } = dtypeInfo(dtype);
    if (source.length !== size) {
      throw invalidArgument(
        'QUTLASS_E_SHAPE',
        'data',
        `${size} elements for shape ${shapeText(options.shape)}`,
        `${source.length}`,
      );
    }
    if (source instanceof Float32Array && dtype !== 'f32') {
      if (!isFloatDType(dtype)) throw wrongSource(dtype, source);
      using wide = Tensor.from(source, { ...options, dtype: 'f32' });
      return wide.to(dtype);
    }
    if (source.BYTES_PER_ELEMENT !== bytes || source instanceof Float32Array !== (dtype === 'f32')) {
      throw wrongSource(dtype, source);
    }
    return Tensor.#create(options.shape, dtype, options.device, source);
  }

  /**
   * Copies raw memory, little-endian, as files hold it.
   * @throws QutlassError `QUTLASS_E_SHAPE` unless there are as many bytes as the tensor has
   */
  static fromBytes<D extends DType>(
    bytes: Uint8Array,
    options: { shape: readonly number[]; dtype: D; device?: Device },
  ): Tensor<D> {
    const expected = requireShape(options.shape) * dtypeInfo(options.dtype).bytes;
    if (bytes.byteLength !== expected) {
      throw invalidArgument(
        'QUTLASS_E_SHAPE',
        'bytes',
        `${expected} for ${options.dtype}${shapeText(options.shape)}`,
        `${bytes.byteLength}`,
      );
    }
    return Tensor.#create(options.shape, options.dtype, options.device, bytes);
  }

  /** The native handle, for code that adds operations. @throws QutlassError `QUTLASS_E_DISPOSED` */
  get handle(): TensorHandle {
    this.requireLive('tensor');
    return this.#handle as TensorHandle;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((a, b) => a * b, 1);
  }

  get byteLength(): number {
    return this.size * DTYPES[this.dtype].bytes;
  }

  /** The same memory under another shape of equal size. The memory lives until both tensors are disposed. */
  reshape(shape: readonly number[]): Tensor<D> {
    if (requireShape(shape) !== this.size) {
      throw invalidArgument(
        'QUTLASS_E_SHAPE',
        'shape',
        `${this.size} elements as in ${shapeText(this.shape)}`,
        shapeText(shape),
      );
    }
    return this.#view(shape, 0);
  }

  /** Another owner of the same memory, which lives until both are disposed. */
  share(): Tensor<D> {
    return this.#view(this.shape, 0);
  }

  /** Rows `[begin, end)` along the first dimension, sharing the memory. */
  rows(begin: number, end: number): Tensor<D> {
    const [count = 0, ...rest] = this.shape;
    if (!Number.isInteger(begin) || !Number.isInteger(end) || begin < 0 || end <= begin || end > count) {
      throw invalidArgument('QUTLASS_E_SHAPE', 'rows', `0 <= begin < end <= ${count}`, `[${begin}, ${end})`);
    }
    const rowBytes = this.byteLength / count;
    return this.#view([end - begin, ...rest], begin * rowBytes);
  }

  /** The same bytes read as another dtype of equal width, sharing the memory. */
  bitcast<E extends DType>(dtype: E): Tensor<E> {
    const { id, bytes } = dtypeInfo(dtype);
    if (bytes !== DTYPES[this.dtype].bytes) {
      throw invalidArgument('QUTLASS_E_DTYPE', 'dtype', `one of ${DTYPES[this.dtype].bytes} bytes`, dtype);
    }
    const handle = loadBinding().tensorView(this.handle, id, this.shape, 0);
    return new Tensor(handle, dtype, this.shape, this.device);
  }

  /** A new tensor of the dtype, rounded to nearest even. Defined between the float dtypes, and from all others to them. */
  to<E extends FloatDType | D>(dtype: E): Tensor<E> {
    return produce(this.shape, dtype, this.device, (native, stream, out) =>
      native.convert(stream, this.handle, out),
    );
  }

  clone(): Tensor<D> {
    return this.to(this.dtype);
  }

  /** Overwrites the tensor with host data of its dtype. */
  write(data: HostArray<D>): void {
    const { array, bytes } = DTYPES[this.dtype];
    if (!(data instanceof array) || data.length !== this.size) {
      throw invalidArgument(
        'QUTLASS_E_SHAPE',
        'data',
        `a ${array.name} of ${this.size} elements (${bytes} bytes each)`,
        `a ${data.constructor.name} of ${data.length}`,
      );
    }
    loadBinding().write(this.device.stream.handle, this.handle, data);
  }

  /** The elements, once all work enqueued so far has run. bf16, f16 and the 8-bit floats come as bits. */
  async toArray(): Promise<HostArray<D>> {
    const out = new DTYPES[this.dtype].array(this.size);
    await loadBinding().read(this.device.stream.handle, this.handle, out);
    return out as HostArray<D>;
  }

  /** The values as float32, once all work enqueued so far has run. */
  async toFloat32Array(): Promise<Float32Array> {
    if (this.dtype === 'f32') return (this as Tensor<DType> as Tensor<'f32'>).toArray();
    using wide = this.to('f32' as FloatDType) as Tensor<'f32'>;
    return await wide.toArray();
  }

  /** The memory as bytes, once all work enqueued so far has run. */
  async toBytes(): Promise<Uint8Array> {
    const out = new Uint8Array(this.byteLength);
    await loadBinding().read(this.device.stream.handle, this.handle, out);
    return out;
  }

  override toString(): string {
    return `Tensor(${this.dtype}${shapeText(this.shape)}, ${this.device.name}${this.disposed ? ', disposed' : ''})`;
  }

  protected release(): void {
    const handle = this.#handle as TensorHandle;
    this.#handle = null;
    loadBinding().tensorRelease(handle);
    if (released.length < MAX_RELEASED) released.push(handle);
  }

  #view(shape: readonly number[], byteOffset: number): Tensor<D> {
    const handle = loadBinding().tensorView(this.handle, DTYPES[this.dtype].id, shape, byteOffset);
    return new Tensor(handle, this.dtype, Object.freeze([...shape]), this.device);
  }
}

/** A new tensor filled by one native operation; freed again if the operation refuses its arguments. */
export function produce<D extends DType>(
  shape: readonly number[],
  dtype: D,
  device: Device,
  operation: (native: NativeBinding, stream: StreamHandle, out: TensorHandle) => void,
): Tensor<D> {
  const out = Tensor.empty(shape, dtype, device);
  try {
    operation(loadBinding(), device.stream.handle, out.handle);
  } catch (error) {
    out.dispose();
    throw error;
  }
  return out;
}

/** @throws QutlassError `QUTLASS_E_ARGUMENT` unless all tensors are on one device. */
export function requireSameDevice(
  first: { device: Device },
  ...others: readonly ({ device: Device } | undefined)[]
): void {
  for (const other of others) {
    if (other && other.device !== first.device) {
      throw invalidArgument(
        'QUTLASS_E_ARGUMENT',
        'device',
        `all operands on ${first.device}`,
        `one on ${other.device}`,
      );
    }
  }
}

/** `[2, 3]`, as messages print it. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/** The number of elements of a valid shape. */
function requireShape(shape: readonly number[]): number {
  const size = shape.reduce((a, b) => a * b, 1);
  const valid =
    shape.length >= 1 && shape.length <= MAX_RANK && shape.every((n) => Number.isSafeInteger(n) && n > 0);
  if (!valid || !Number.isSafeInteger(size * 8)) {
    throw invalidArgument('QUTLASS_E_SHAPE', 'shape', `1 to ${MAX_RANK} positive integers`, shapeText(shape));
  }
  return size;
}

/** The entry of a valid dtype. */
function dtypeInfo(dtype: DType): (typeof DTYPES)[DType] {
  if (isDType(dtype)) return DTYPES[dtype];
  throw invalidArgument('QUTLASS_E_DTYPE', 'dtype', Object.keys(DTYPES).join(', '), JSON.stringify(dtype));
}

function hostZeros(bytes: number): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new QutlassError('QUTLASS_E_OUT_OF_MEMORY', `out of memory: ${bytes} bytes asked for`, { cause });
  }
}

type HostSource = Exclude<TensorSource, readonly number[]>;

function hostArray(data: TensorSource): HostSource {
  if (ArrayBuffer.isView(data)) {
    // Node 24 and later have Float16Array; its bits are what an f16 tensor holds.
    const view = data as HostSource;
    return view.constructor.name === 'Float16Array'
      ? new Uint16Array(view.buffer, view.byteOffset, view.length)
      : view;
  }
  if (Array.isArray(data)) return Float32Array.from(data as readonly number[]);
  throw invalidArgument('QUTLASS_E_ARGUMENT', 'data', 'an array of numbers or a typed array', typeof data);
}

function defaultDType(data: HostSource): DType {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Int8Array) return 'i8';
  if (data instanceof Uint8Array) return 'u8';
  if (data instanceof Uint16Array) return 'bf16';
  const name = (data as object).constructor.name;
  throw invalidArgument(
    'QUTLASS_E_DTYPE',
    'data',
    'Float32Array, Uint16Array, Int32Array, Int8Array or Uint8Array',
    name,
  );
}

function wrongSource(dtype: DType, source: HostSource): QutlassError {
  return invalidArgument(
    'QUTLASS_E_DTYPE',
    'data',
    `${DTYPES[dtype].array.name} for ${dtype}`,
    source.constructor.name,
  );
}
