import { type Device, QutlassError, Resource } from '@qutlass/core-kernels';
import type { Format, QuantizedTensor, Rotation } from '@qutlass/quant';

/**
 * A weight in the layouts that the kernels of its device read, made once and used for every M: the rows of codes and scales
 * that it was given, and, for formats that have them, tiles besides, as large once more.
 */
export class PreparedWeight<F extends Format = Format> extends Resource {
  /** The matrix [N, K] in the layout of the kernels. */
  readonly weight: QuantizedTensor<F, 'row'>;

  /** @internal Use {@link prepare}. */
  constructor(weight: QuantizedTensor<F, 'row'>) {
    super();
    this.weight = weight;
  }

  get format(): F {
    return this.weight.format;
  }

  get shape(): readonly [rows: number, cols: number] {
    return this.weight.shape;
  }

  get device(): Device {
    return this.weight.device;
  }

  get rotation(): Rotation | undefined {
    return this.weight.rotation;
  }

  get byteLength(): number {
    return this.weight.byteLength;
  }

  override owned(): Iterable<Resource> {
    return [this.weight];
  }

  override toString(): string {
    return `PreparedWeight(${this.format.name}[${this.shape.join(', ')}], ${this.device.name})`;
  }

  protected release(): void {
    this.weight.dispose();
  }
}

/**
 * Prepares a quantized weight [N, K] for {@link matmul}. Both are disposed on their own. The weight is laid out once more in
 * tiles, if its format has them on the device: on a GPU for products with few rows of A, on a CPU for nearly all.
 */
export function prepare<F extends Format>(weight: QuantizedTensor<F>): PreparedWeight<F> {
  const rows = weight.withScaleLayout('row');
  try {
    const tiled = rows.withTiles();
    rows.dispose();
    return new PreparedWeight(tiled);
  } catch (error) {
    if (error instanceof QutlassError && error.code === 'QUTLASS_E_UNSUPPORTED')
      return new PreparedWeight(rows);
    rows.dispose();
    throw error;
  }
}
