import { type Device, Tensor } from '@qutlass/core-kernels';
import {
  dequantize,
  FORMATS,
  type Format,
  formatByName,
  hadamard,
  quantize,
  type Rotation,
} from '@qutlass/quant';
import type { Progress } from '../progress.js';
import { DISTRIBUTIONS, type Distribution, randomMatrix } from '../random.js';
import { errorRowName } from '../results/names.js';
import type { ErrorRow } from '../results/types.js';
import { relativeSquaredError } from '../statistics.js';
import { figureOf } from './figures.js';

/** The extent [rows, cols] that the figures hold for. */
export const MATRIX = [2048, 4096] as const;

/** What the other distributions are tried on: one of each kind of scale. */
const SELECTION = [
  'int8-row',
  'fp8-row',
  'mxfp8',
  'int4-g32',
  'int4-g128',
  'int4-g128-asym',
  'nf4',
  'nvfp4',
  'nvfp4-4over6',
  'mxfp4',
].map(formatByName);

export interface ErrorTableOptions {
  device: Device;
  signal?: AbortSignal;
  progress?: Progress;
}

/**
 * The error of every format on normal numbers, and of a selection on heavier tails, each with and without a Hadamard
 * rotation of the format's own group where it has one.
 */
export async function measureErrors({ device, signal, progress }: ErrorTableOptions): Promise<ErrorRow[]> {
  const [rows, cols] = MATRIX;
  const table: ErrorRow[] = [];
  for (const distribution of Object.keys(DISTRIBUTIONS) as Distribution[]) {
    progress?.step(`quantization error on ${DISTRIBUTIONS[distribution]}`);
    const values = randomMatrix(distribution, rows, cols);
    using x = Tensor.from(values, { shape: [rows, cols], device });
    const formats = distribution === 'normal' ? FORMATS : SELECTION;
    for (const format of formats) {
      progress?.detail(format.name);
      for (const rotation of rotationsFor(format)) {
        signal?.throwIfAborted();
        table.push(await measureError(distribution, x, values, format, rotation));
      }
    }
  }
  return table;
}

/** None, and the Hadamard of the group for formats that have groups along K. */
function rotationsFor({ groupCols }: Format): (Rotation | undefined)[] {
  const grouped = SELECTION.some((format) => format.groupCols === groupCols) && groupCols !== 'all';
  return grouped ? [undefined, hadamard(groupCols)] : [undefined];
}

async function measureError(
  distribution: Distribution,
  x: Tensor<'f32'>,
  values: Float32Array,
  format: Format,
  rotation: Rotation | undefined,
): Promise<ErrorRow> {
  using quantized = quantize(x, format, rotation ? { rotation } : {});
  using restored = dequantize(quantized);
  const names = { format: format.name, rotation: rotation?.toString() ?? null };
  const figure = figureOf(distribution, errorRowName(names));
  return {
    distribution: DISTRIBUTIONS[distribution],
    ...names,
    bitsPerElement: quantized.bitsPerElement,
    relativeSquaredError: relativeSquaredError(values, await restored.toArray()),
    expected: figure?.value ?? null,
    tolerance: figure?.tolerance ?? null,
  };
}
