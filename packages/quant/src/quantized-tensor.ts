import {
  type Device,
  DTYPES,
  invalidArgument,
  loadBinding,
  type QuantizedHandle,
  Resource,
  requireSameDevice,
  Tensor,
  tile,
  unscoped,
} from '@qutlass/core-kernels';
import { type Format, hasGlobalScale, nativeFormat, scaleShape } from './format.js';
import { type CodeDType, PARTS, type PartName, partBytes, partSpec, requirePart } from './parts.js';
import type { Rotation } from './rotation.js';
import { fromBlocked, SCALE_LAYOUTS, type ScaleLayout, type Scales, toBlocked } from './scales.js';

/** What a quantized matrix [rows, cols] consists of. */
export interface QuantizedParts<L extends ScaleLayout = ScaleLayout> {
  rows: number;
  cols: number;
  /** [rows, cols], or [rows, cols / 2] with two 4-bit codes to a byte, low nibble first. */
  codes: Tensor<CodeDType>;
  scales: Scales<NoInfer<L>>;
  scaleLayout: L;
  /** As many as scales: i8 for int8, u8 for int4. */
  zeroPoints?: Tensor<'i8' | 'u8'> | undefined;
  /** One value that all others are divided by. */
  globalScale?: Tensor<'f32'> | undefined;
  /** [rows, cols / 8] bits, low bit first, 1 where the element was not clipped. */
  clipMask?: Tensor<'u8'> | undefined;
  /** Applied before quantizing; the stored values are in the rotated basis. */
  rotation?: Rotation | undefined;
  /** The matrix once more, as the kernels of its device stream it; see `prepare` of @qutlass/gemm. */
  tiles?: Tensor<'u8'> | undefined;
}

/** @internal A matrix that the native quantizer has put into a block of its own. */
export interface QuantizedBlock<L extends ScaleLayout = ScaleLayout> {
  handle: QuantizedHandle;
  device: Device;
  rows: number;
  cols: number;
  scaleLayout: L;
  /** Taken over, if it is not in the block. */
  globalScale?: Tensor<'f32'> | undefined;
  hasClipMask: boolean;
  rotation?: Rotation | undefined;
}

/** A matrix [rows, cols] in a quantized format; the type knows the format and the layout of the scales. */
export class QuantizedTensor<
  F extends Format = Format,
  L extends ScaleLayout = ScaleLayout,
> extends Resource {
  readonly format: F;
  readonly rows: number;
  readonly cols: number;
  readonly device: Device;
  readonly scaleLayout: L;
  readonly rotation: Rotation | undefined;
  readonly #handle: QuantizedHandle;
  readonly #hasClipMask: boolean;
  /** Those that were given, and views of those in the block that were asked for. */
  readonly #parts = new Map<PartName | 'tiles', Tensor>();

  /**
   * Puts parts together, for instance those of a checkpoint, and takes them over: they are disposed with it.
   * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DTYPE`, `QUTLASS_E_FORMAT`; the parts then stay the caller's
   */
  constructor(format: F, parts: QuantizedParts<L>);
  /** @internal */
  constructor(format: F, block: QuantizedBlock<L>);
  constructor(format: F, parts: QuantizedParts<L> | QuantizedBlock<L>) {
    const given = 'handle' in parts ? undefined : parts;
    if (given) requireParts(format, given);
    super();
    this.format = format;
    this.rows = parts.rows;
    this.cols = parts.cols;
    this.scaleLayout = parts.scaleLayout;
    this.rotation = parts.rotation?.kind === 'identity' ? undefined : parts.rotation;
    if ('handle' in parts) {
      this.device = parts.device;
      this.#hasClipMask = parts.hasClipMask;
      if (parts.globalScale) this.#parts.set('globalScale', parts.globalScale);
      this.#handle = parts.handle;
      return;
    }
    this.device = parts.codes.device;
    this.#hasClipMask = parts.clipMask !== undefined;
    for (const name of [...PARTS, 'tiles'] as const) {
      const part = parts[name];
      if (part) this.#parts.set(name, part);
    }
    this.#handle = loadBinding().quantizedCreate(
      nativeFormat(format),
      this.rows,
      this.cols,
      parts.codes.handle,
      parts.scales.handle,
      parts.zeroPoints?.handle ?? null,
      parts.globalScale?.handle ?? null,
      parts.clipMask?.handle ?? null,
      SCALE_LAYOUTS[this.scaleLayout],
      parts.tiles?.handle ?? null,
    );
  }

  get codes(): Tensor<CodeDType> {
    return this.#part('codes') as Tensor<CodeDType>;
  }

  get scales(): Scales<L> {
    return this.#part('scales') as Tensor as Scales<L>;
  }

  get zeroPoints(): Tensor<'i8' | 'u8'> | undefined {
    return this.#part('zeroPoints') as Tensor<'i8' | 'u8'> | undefined;
  }

  get globalScale(): Tensor<'f32'> | undefined {
    return this.#part('globalScale') as Tensor<'f32'> | undefined;
  }

  get clipMask(): Tensor<'u8'> | undefined {
    return this.#hasClipMask ? (this.#part('clipMask') as Tensor<'u8'>) : undefined;
  }

  get tiles(): Tensor<'u8'> | undefined {
    return this.#parts.get('tiles') as Tensor<'u8'> | undefined;
  }

  /** The native handle, for code that adds operations. @throws QutlassError `QUTLASS_E_DISPOSED` */
  get handle(): QuantizedHandle {
    this.requireLive('quantized tensor');
    // A part may have been disposed on its own.
    for (const part of this.#parts.values()) part.handle;
    return this.#handle;
  }

  get shape(): readonly [rows: number, cols: number] {
    return [this.rows, this.cols];
  }

  /** Bytes of all parts but the clip mask and the tiles, which repeat the others. */
  get byteLength(): number {
    return PARTS.reduce((sum, name) => sum + (name === 'clipMask' ? 0 : partBytes(this, name)), 0);
  }

  get bitsPerElement(): number {
    return (this.byteLength * 8) / (this.rows * this.cols);
  }

  /** The same matrix with its scales in another layout; shares the other parts. */
  withScaleLayout<T extends ScaleLayout>(layout: T): QuantizedTensor<F, T> {
    const [rows, groups] = scaleShape(this.format, this.rows, this.cols);
    let scales: Scales;
    if (this.scaleLayout === (layout as ScaleLayout)) scales = this.scales.share() as Scales;
    else if (layout === 'row')
      scales = fromBlocked(this.scales as Scales as Scales<'blocked128x4'>, rows, groups);
    else scales = toBlocked(this.scales as Scales as Scales<'row'>);
    return this.#with({ scales: scales as Scales<T>, scaleLayout: layout, tiles: this.tiles?.share() });
  }

  /**
   * The same matrix with tiles, made by the kernels of its device; shares the other parts.
   * @throws QutlassError `QUTLASS_E_UNSUPPORTED` where the device or the format has none
   */
  withTiles(): QuantizedTensor<F, L> {
    const { device, handle, scaleLayout } = this;
    const tiles = tile(handle, device);
    return this.#with({ scales: this.scales.share() as Scales<L>, scaleLayout, tiles });
  }

  #with<T extends ScaleLayout>(
    parts: Pick<QuantizedParts<T>, 'scales' | 'scaleLayout' | 'tiles'>,
  ): QuantizedTensor<F, T> {
    return new QuantizedTensor<F, T>(this.format, {
      rows: this.rows,
      cols: this.cols,
      codes: this.codes.share(),
      zeroPoints: this.zeroPoints?.share(),
      globalScale: this.globalScale?.share(),
      clipMask: this.clipMask?.share(),
      rotation: this.rotation,
      ...parts,
    });
  }

  /** Another owner of the same memory. */
  share(): QuantizedTensor<F, L> {
    return this.withScaleLayout(this.scaleLayout);
  }

  override owned(): Iterable<Tensor> {
    return this.#parts.values();
  }

  override toString(): string {
    const rotated = this.rotation ? `, ${this.rotation}` : '';
    return `QuantizedTensor(${this.format.name}[${this.rows}, ${this.cols}]${rotated}, ${this.device.name})`;
  }

  protected release(): void {
    for (const part of this.#parts.values()) part.dispose();
    loadBinding().quantizedRelease(this.#handle);
  }

  /** A part that was given, or a view of the one in the block. */
  #part(name: PartName): Tensor | undefined {
    const known = this.#parts.get(name);
    const spec = known ? undefined : partSpec(this, name);
    if (!spec) return known;
    this.requireLive('quantized tensor');
    const { dtype, shape } = spec;
    const handle = loadBinding().quantizedPart(this.#handle, PARTS.indexOf(name), DTYPES[dtype].id, shape);
    const part = unscoped(() => Tensor.adopt(handle, dtype, shape, this.device));
    this.#parts.set(name, part);
    return part;
  }
}

function requireParts(format: Format, parts: QuantizedParts): void {
  const { rows, cols, scaleLayout, codes, scales, zeroPoints, globalScale, clipMask, tiles } = parts;
  requireSameDevice(codes, scales, zeroPoints, globalScale, clipMask, tiles);
  const matrix = { format, rows, cols, scaleLayout };
  requirePresence('zeroPoints', format, format.zeroPoint, zeroPoints);
  requirePresence('globalScale', format, hasGlobalScale(format), globalScale);
  for (const name of PARTS) {
    const part = parts[name];
    if (part) requirePart(matrix, name, part);
  }
}

function requirePresence(name: string, format: Format, expected: boolean, part: Tensor | undefined): void {
  if (expected === (part !== undefined)) return;
  const text = (present: boolean) => (present ? 'a tensor' : 'none');
  throw invalidArgument(
    'QUTLASS_E_FORMAT',
    name,
    `${text(expected)} for ${format.name}`,
    text(part !== undefined),
  );
}
