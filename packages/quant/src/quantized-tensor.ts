import {
  type Device,
  invalidArgument,
  loadBinding,
  type QuantizedHandle,
  Resource,
  requireSameDevice,
  shapeText,
  type Tensor,
  tile,
} from '@qutlass/core-kernels';
import { ELEMENTS } from './element.js';
import { type Format, hasGlobalScale, nativeFormat, scaleShape } from './format.js';
import type { Rotation } from './rotation.js';
import {
  blockedSize,
  fromBlocked,
  SCALE_LAYOUTS,
  type ScaleLayout,
  type Scales,
  toBlocked,
} from './scales.js';

/** The dtype of codes in memory. */
export type CodeDType = 'u8' | 'i8' | 'f8e4m3' | 'f8e5m2';

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

/** The dtype that codes of the format have in memory. */
export function codeDType(format: Format): CodeDType {
  if (ELEMENTS[format.element].bits === 4) return 'u8';
  return format.element === 'int8' ? 'i8' : format.element === 'e5m2' ? 'f8e5m2' : 'f8e4m3';
}

/** A matrix [rows, cols] in a quantized format; the type knows the format and the layout of the scales. */
export class QuantizedTensor<
  F extends Format = Format,
  L extends ScaleLayout = ScaleLayout,
> extends Resource {
  readonly format: F;
  readonly rows: number;
  readonly cols: number;
  readonly codes: Tensor<CodeDType>;
  readonly scales: Scales<L>;
  readonly scaleLayout: L;
  readonly zeroPoints: Tensor<'i8' | 'u8'> | undefined;
  readonly globalScale: Tensor<'f32'> | undefined;
  readonly clipMask: Tensor<'u8'> | undefined;
  readonly rotation: Rotation | undefined;
  readonly tiles: Tensor<'u8'> | undefined;
  readonly #parts: readonly Tensor[];
  readonly #handle: QuantizedHandle;

  /**
   * Puts parts together, for instance those of a checkpoint, and takes them over: they are disposed with it.
   * @throws QutlassError `QUTLASS_E_SHAPE`, `QUTLASS_E_DTYPE`, `QUTLASS_E_FORMAT`; the parts then stay the caller's
   */
  constructor(format: F, parts: QuantizedParts<L>) {
    requireParts(format, parts);
    super();
    this.format = format;
    this.rows = parts.rows;
    this.cols = parts.cols;
    this.codes = parts.codes;
    this.scales = parts.scales;
    this.scaleLayout = parts.scaleLayout;
    this.zeroPoints = parts.zeroPoints;
    this.globalScale = parts.globalScale;
    this.clipMask = parts.clipMask;
    this.rotation = parts.rotation?.kind === 'identity' ? undefined : parts.rotation;
    this.tiles = parts.tiles;
    this.#parts = [
      this.codes,
      this.scales,
      this.zeroPoints,
      this.globalScale,
      this.clipMask,
      this.tiles,
    ].filter((part) => part !== undefined);
    this.#handle = loadBinding().quantizedCreate(
      nativeFormat(format),
      this.rows,
      this.cols,
      this.codes.handle,
      this.scales.handle,
      this.zeroPoints?.handle ?? null,
      this.globalScale?.handle ?? null,
      this.clipMask?.handle ?? null,
      SCALE_LAYOUTS[this.scaleLayout],
      this.tiles?.handle ?? null,
    );
  }

  /** The native handle, for code that adds operations. @throws QutlassError `QUTLASS_E_DISPOSED` */
  get handle(): QuantizedHandle {
    this.requireLive('quantized tensor');
    // A part may have been disposed on its own.
    for (const part of this.#parts) part.handle;
    return this.#handle;
  }

  get shape(): readonly [rows: number, cols: number] {
    return [this.rows, this.cols];
  }

  get device(): Device {
    return this.codes.device;
  }

  /** Bytes of all parts but the clip mask and the tiles, which repeat the others. */
  get byteLength(): number {
    const parts = [this.codes, this.scales, this.zeroPoints, this.globalScale];
    return parts.reduce((sum, part) => sum + (part?.byteLength ?? 0), 0);
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
    return this.#parts;
  }

  override toString(): string {
    const rotated = this.rotation ? `, ${this.rotation}` : '';
    return `QuantizedTensor(${this.format.name}[${this.rows}, ${this.cols}]${rotated}, ${this.device.name})`;
  }

  protected release(): void {
    for (const part of this.owned()) part.dispose();
  }
}

function requireParts(format: Format, parts: QuantizedParts): void {
  const { rows, cols, codes, scales, zeroPoints, globalScale, clipMask, scaleLayout, tiles } = parts;
  requireSameDevice(codes, scales, zeroPoints, globalScale, clipMask, tiles);
  const packed = ELEMENTS[format.element].bits === 4 ? 2 : 1;
  const [r, g] = scaleShape(format, rows, cols);
  requirePart('codes', codes, codeDType(format), [rows, cols / packed]);
  requirePart('scales', scales, format.scaleDType, scaleLayout === 'row' ? [r, g] : [blockedSize(r, g)]);
  requirePresence('zeroPoints', format, format.zeroPoint, zeroPoints);
  requirePresence('globalScale', format, hasGlobalScale(format), globalScale);
  if (zeroPoints) requirePart('zeroPoints', zeroPoints, format.element === 'int8' ? 'i8' : 'u8', [r, g]);
  if (globalScale) requirePart('globalScale', globalScale, 'f32', [1]);
  if (clipMask) requirePart('clipMask', clipMask, 'u8', [rows, cols / 8]);
}

function requirePart(name: string, part: Tensor, dtype: string, shape: readonly number[]): void {
  if (part.dtype !== dtype) throw invalidArgument('QUTLASS_E_DTYPE', name, dtype, part.dtype);
  if (part.shape.length !== shape.length || part.shape.some((extent, i) => extent !== shape[i])) {
    throw invalidArgument('QUTLASS_E_SHAPE', name, `shape ${shapeText(shape)}`, shapeText(part.shape));
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
