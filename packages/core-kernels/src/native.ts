import type { QutlassError } from './errors.js';

// The native binding, function by function as in qutlass.h. Handles are opaque; each kind has a brand of its own, so
// that one cannot pass for another. Everything above this file is policy.

declare const brand: unique symbol;
interface Handle<Kind extends string> {
  readonly [brand]: Kind;
}

/** A device of the library. */
export type DeviceHandle = Handle<'device'>;
export type StreamHandle = Handle<'stream'>;
export type EventHandle = Handle<'event'>;
export type GraphHandle = Handle<'graph'>;
/** A reference to device memory and the tensor in it. */
export type TensorHandle = Handle<'tensor'>;
/** A quantized matrix: a block of its own, or pointers into tensors that whoever holds it keeps alive. */
export type QuantizedHandle = Handle<'quantized'>;
export type RotationHandle = Handle<'rotation'>;
export type RoundingHandle = Handle<'rounding'>;

export interface NativeDeviceInfo {
  /** Model of the processor or GPU. */
  readonly name: string;
  /** What the kernels are made for: `amx`, `avx512bf16`, `avx512`, `avx2`, `generic`, `sm_90`. */
  readonly isa: string;
  /** Of a GPU: the newest CUDA version that its driver runs, `13.0`; else empty. */
  readonly driver: string;
  /** Of the CPU kernels; multiprocessors of a GPU. */
  readonly threads: number;
  /** All memory of the device. */
  readonly memoryBytes: number;
  /** The last level of cache, 0 if not known. */
  readonly cacheBytes: number;
  /** The highest clock of the processor, 0 if not known. */
  readonly clockHz: number;
  /** Bytes per second by clock and bus width of a GPU's memory, 0 if not known. */
  readonly memoryBandwidth: number;
}

/** Bytes of device memory. */
export interface MemoryStats {
  /** In use, or held by graphs and pending work. */
  readonly allocated: number;
  /** Taken from the system, in use or cached. */
  readonly reserved: number;
  /** The largest `allocated` so far. */
  readonly peak: number;
  /** Number of blocks in use. */
  readonly allocations: number;
}

/** A kernel instance as it describes itself. */
export interface KernelInfo {
  readonly index: number;
  /** Stable: `cpu.reference`, `cpu.f32.avx2`, ... */
  readonly name: string;
  readonly device: string;
  /** The instruction set that it needs, or an empty string; also a library that it needs beside. */
  readonly requiresIsa: string;
  /** What sums are kept in: `f64`, `f32`, `i32`, or `f22` of Hopper's fp8 tensor cores. */
  readonly accumulator: string;
  readonly tile: readonly [m: number, n: number, k: number];
  /** Whether this machine can run it. */
  readonly available: boolean;
  /** Roughly what large products reach of the peak rate of the device in `precision`. */
  readonly peakFraction: number;
  /** What the units multiply: `f32`, `bf16`, `int8`, ... */
  readonly precision: string;
  /** Codes decoded per clock by a multiprocessor or CPU thread; 0 if that is included in `peakFraction`. */
  readonly decodePerClock: number;
  /** Roughly what large products reach of the bandwidth of the memory. */
  readonly bandwidthFraction: number;
  /** The largest M that the kernel takes, all of it at once, B read for each `tile[0]` rows; 0 for any. */
  readonly maxM: number;
  /** Whether it runs only when asked for by name, since it is less precise than others. */
  readonly onRequest: boolean;
}

type Operand = TensorHandle | QuantizedHandle;
type Optional<T> = T | null;

/** `qutlass_matmul_problem`. */
export type MatmulProblem = readonly [
  a: Operand,
  b: Operand,
  aRotation: Optional<RotationHandle>,
  /** As in `quantizedCreate`: a dense A is quantized to it on the way in. */
  aFormat: Optional<Int32Array>,
  alpha: number,
  alphaTensor: Optional<TensorHandle>,
  bias: Optional<TensorHandle>,
  out: TensorHandle,
  accuracy: number,
];

/**
 * How the functions whose names end in `New` quantize: into one new block of parts of these sizes, 0 for those that it does
 * not have. Matrices of any rank count as those of their last dimension. A global scale is found if it is a part.
 */
export type NewQuantized = readonly [
  rotation: Optional<RotationHandle>,
  format: Int32Array,
  scaleLayout: number,
  globalScale: Optional<TensorHandle>,
  codesBytes: number,
  scalesBytes: number,
  zeroPointsBytes: number,
  globalScaleBytes: number,
  clipMaskBytes: number,
];

/** What is rotated and appended: queries, keys and values of new tokens, and the caches that the latter go to. */
export type AppendedRows = readonly [
  q: TensorHandle,
  k: TensorHandle,
  v: TensorHandle,
  positions: TensorHandle,
  inverseFrequencies: TensorHandle,
  kCache: TensorHandle,
  vCache: TensorHandle,
];

/** The functions of the native addon. */
export interface NativeBinding {
  /** Sets the class that failures are thrown as. */
  initialize(errorClass: typeof QutlassError): void;
  abiVersion(): number;
  version(): string;

  /** The number of visible GPUs; throws `QUTLASS_E_NO_DEVICE`, with the reason, if there is none. */
  gpuCount(): number;
  deviceOpen(name: string, threads: number): DeviceHandle;
  deviceInfo(device: DeviceHandle): NativeDeviceInfo;
  memoryStats(device: DeviceHandle): MemoryStats;
  memoryTrim(device: DeviceHandle): void;

  streamCreate(device: DeviceHandle): StreamHandle;
  streamDestroy(stream: StreamHandle): void;
  streamSynchronize(stream: StreamHandle): Promise<void>;
  streamSynchronizeBlocking(stream: StreamHandle): void;
  eventRecord(stream: StreamHandle, timing: number): EventHandle;
  /** Seconds between two events with timing that have been passed. */
  eventElapsed(start: EventHandle, end: EventHandle): number;
  streamWait(stream: StreamHandle, event: EventHandle): void;
  graphBegin(stream: StreamHandle): void;
  graphEnd(stream: StreamHandle): GraphHandle;
  graphLaunch(graph: GraphHandle, stream: StreamHandle): void;
  graphNodeCount(graph: GraphHandle): number;
  graphDestroy(graph: GraphHandle): void;

  /** Uninitialized, or a copy of `host`. It is the handle `released`, if there is one: a new one costs more. */
  tensorCreate(
    device: DeviceHandle,
    dtype: number,
    shape: readonly number[],
    bytes: number,
    host: Optional<NodeJS.TypedArray>,
    released: Optional<TensorHandle>,
  ): TensorHandle;
  tensorView(base: TensorHandle, dtype: number, shape: readonly number[], byteOffset: number): TensorHandle;
  tensorRelease(tensor: TensorHandle): void;
  write(stream: StreamHandle, out: TensorHandle, host: NodeJS.TypedArray): void;
  read(stream: StreamHandle, x: TensorHandle, host: NodeJS.TypedArray): Promise<void>;

  fill(stream: StreamHandle, value: number, out: TensorHandle): void;
  fillRandom(stream: StreamHandle, seed: number, deviation: number, out: TensorHandle): void;
  checksum(stream: StreamHandle, x: TensorHandle, out: TensorHandle): void;
  convert(stream: StreamHandle, x: TensorHandle, out: TensorHandle): void;
  transpose(stream: StreamHandle, x: TensorHandle, out: TensorHandle): void;
  pad(stream: StreamHandle, x: TensorHandle, out: TensorHandle): void;
  copyRows(stream: StreamHandle, x: TensorHandle, out: TensorHandle, row: number): void;
  sliceRows(stream: StreamHandle, x: TensorHandle, row: number, out: TensorHandle): void;

  encode(stream: StreamHandle, x: TensorHandle, element: number, out: TensorHandle): void;
  decode(stream: StreamHandle, codes: TensorHandle, element: number, out: TensorHandle): void;
  pack4(stream: StreamHandle, codes: TensorHandle, out: TensorHandle): void;
  unpack4(stream: StreamHandle, packed: TensorHandle, signExtend: number, out: TensorHandle): void;
  scalesToBlocked(stream: StreamHandle, scales: TensorHandle, out: TensorHandle): void;
  scalesFromBlocked(stream: StreamHandle, blocked: TensorHandle, out: TensorHandle): void;

  /** format: element, scale dtype, rule, group rows, group columns, zero point; as in `qutlass_format`. */
  quantizedCreate(
    format: Int32Array,
    rows: number,
    cols: number,
    codes: TensorHandle,
    scales: TensorHandle,
    zeroPoints: Optional<TensorHandle>,
    globalScale: Optional<TensorHandle>,
    clipMask: Optional<TensorHandle>,
    scaleLayout: number,
    tiles: Optional<TensorHandle>,
  ): QuantizedHandle;
  /** Throws `QUTLASS_E_UNSUPPORTED` where the device or the format has no tiles. */
  tileBytes(device: DeviceHandle, q: QuantizedHandle): number;
  tile(stream: StreamHandle, q: QuantizedHandle, out: TensorHandle): void;
  rotationCreate(kind: number, size: number, data: Optional<TensorHandle>): RotationHandle;
  /** As `qutlass_rounding`; the caller keeps the counter alive. */
  roundingCreate(kind: number, draw: number, seed: number, counter: Optional<TensorHandle>): RoundingHandle;
  globalScale(
    stream: StreamHandle,
    x: TensorHandle,
    rotation: Optional<RotationHandle>,
    format: Int32Array,
    out: TensorHandle,
  ): void;
  quantize(
    stream: StreamHandle,
    x: TensorHandle,
    rotation: Optional<RotationHandle>,
    rounding: Optional<RoundingHandle>,
    findGlobalScale: number,
    out: QuantizedHandle,
  ): void;
  quantizeTransposed(
    stream: StreamHandle,
    x: Operand,
    rotation: Optional<RotationHandle>,
    rounding: Optional<RoundingHandle>,
    findGlobalScale: number,
    out: QuantizedHandle,
  ): void;
  quantizeSquares(
    stream: StreamHandle,
    x: TensorHandle,
    rounding: Optional<RoundingHandle>,
    out: QuantizedHandle,
    columnScales: TensorHandle,
  ): void;
  rmsNormQuantize(
    stream: StreamHandle,
    x: TensorHandle,
    residual: Optional<TensorHandle>,
    weight: TensorHandle,
    eps: number,
    rotation: Optional<RotationHandle>,
    findGlobalScale: number,
    out: QuantizedHandle,
  ): void;
  siluMulQuantize(
    stream: StreamHandle,
    gate: TensorHandle,
    up: TensorHandle,
    rotation: Optional<RotationHandle>,
    findGlobalScale: number,
    out: QuantizedHandle,
  ): void;
  quantizeNew(
    stream: StreamHandle,
    x: TensorHandle,
    rounding: Optional<RoundingHandle>,
    ...into: NewQuantized
  ): QuantizedHandle;
  quantizeTransposedNew(
    stream: StreamHandle,
    x: Operand,
    rounding: Optional<RoundingHandle>,
    ...into: NewQuantized
  ): QuantizedHandle;
  rmsNormQuantizeNew(
    stream: StreamHandle,
    x: TensorHandle,
    residual: Optional<TensorHandle>,
    weight: TensorHandle,
    eps: number,
    ...into: NewQuantized
  ): QuantizedHandle;
  siluMulQuantizeNew(
    stream: StreamHandle,
    gate: TensorHandle,
    up: TensorHandle,
    ...into: NewQuantized
  ): QuantizedHandle;
  /** A view of a part of a matrix with a block of its own; parts count as in `quantizedCreate`. */
  quantizedPart(q: QuantizedHandle, part: number, dtype: number, shape: readonly number[]): TensorHandle;
  quantizedRelease(q: QuantizedHandle): void;
  dequantize(
    stream: StreamHandle,
    q: QuantizedHandle,
    rotation: Optional<RotationHandle>,
    out: TensorHandle,
  ): void;
  rotate(stream: StreamHandle, x: TensorHandle, rotation: RotationHandle, out: TensorHandle): void;
  quantizeInt8WithScale(stream: StreamHandle, x: TensorHandle, scale: TensorHandle, out: TensorHandle): void;

  kernels(): readonly KernelInfo[];
  matmulSupported(kernel: number, ...problem: MatmulProblem): QutlassError | null;
  matmul(stream: StreamHandle, kernel: number, ...problem: MatmulProblem): void;
  /** The problems one after the other in one list. */
  matmulGroup(stream: StreamHandle, kernel: number, ...problems: readonly MatmulProblem[number][]): void;
  /** bias is [E, N]; offsets are I32 [E + 1]. */
  matmulExperts(stream: StreamHandle, offsets: TensorHandle, ...problem: MatmulProblem): void;

  embedding(stream: StreamHandle, ids: TensorHandle, table: TensorHandle, out: TensorHandle): void;
  rmsNorm(
    stream: StreamHandle,
    x: TensorHandle,
    residual: Optional<TensorHandle>,
    weight: TensorHandle,
    eps: number,
    out: TensorHandle,
  ): void;
  rope(
    stream: StreamHandle,
    x: TensorHandle,
    positions: TensorHandle,
    inverseFrequencies: TensorHandle,
  ): void;
  kvAppend(stream: StreamHandle, x: TensorHandle, positions: TensorHandle, cache: TensorHandle): void;
  ropeAppend(stream: StreamHandle, ...rows: AppendedRows): void;
  ropeAttention(stream: StreamHandle, ...rows: [...AppendedRows, scale: number, out: TensorHandle]): void;
  attention(
    stream: StreamHandle,
    q: TensorHandle,
    kCache: TensorHandle,
    vCache: TensorHandle,
    positions: TensorHandle,
    scale: number,
    out: TensorHandle,
  ): void;
  siluMul(stream: StreamHandle, gate: TensorHandle, up: TensorHandle, out: TensorHandle): void;
  add(stream: StreamHandle, a: TensorHandle, b: TensorHandle, scale: number, out: TensorHandle): void;
  sample(
    stream: StreamHandle,
    logits: TensorHandle,
    counters: TensorHandle,
    temperature: number,
    topK: number,
    topP: number,
    seed: number,
    out: TensorHandle,
  ): void;
  crossEntropy(stream: StreamHandle, logits: TensorHandle, targets: TensorHandle, out: TensorHandle): void;
}
