import type { Device } from '@qutlass/core-kernels';
import { parseExtents } from '../cli/extents.js';
import { layerMatrices, type MatrixExtents, MODEL_NAMES } from '../models.js';
import type { Shape } from '../results/types.js';

export type { Shape } from '../results/types.js';

/** Decoding, a small batch and a prompt on the matrices of a 7 B Llama. */
const CPU_SHAPES: readonly Shape[] = [
  { m: 1, n: 4096, k: 4096 },
  { m: 32, n: 4096, k: 4096 },
  { m: 512, n: 4096, k: 4096 },
  { m: 1, n: 11008, k: 4096 },
];

const QUICK_SHAPES: readonly Shape[] = [
  { m: 1, n: 512, k: 512 },
  { m: 64, n: 512, k: 512 },
];

/** Extents that are no multiple of 128 or of a power of two: 2880 is the width of gpt-oss. */
const ODD_MATRICES: readonly MatrixExtents[] = [
  { n: 2880, k: 2880 },
  { n: 5760, k: 2880 },
  { n: 7680, k: 2880 },
  { n: 2880, k: 7680 },
];

/** From one token to a long prompt. */
const MS = [1, 16, 128, 512, 2048];
const ALL_MS = [1, 2, 4, 8, 16, 32, 64, 128, 512, 2048, 8192];

export interface ShapeOptions {
  device: Device;
  quick?: boolean | undefined;
  /** Every model and M. */
  full?: boolean | undefined;
  /** The shapes themselves, as {@link parseShapes} reads them. */
  shapes?: string | undefined;
  /** The matrices of these models, by name, separated by commas. */
  model?: string | undefined;
  /** Only these M, separated by commas. */
  m?: string | undefined;
}

/** The shapes that a command measures. @throws QutlassError `QUTLASS_E_ARGUMENT` */
export function shapesOf({ device, quick, full, shapes, model, m }: ShapeOptions): readonly Shape[] {
  if (shapes !== undefined) return parseShapes(shapes);
  const ms = m === undefined ? undefined : parseExtents(m, '--m', "numbers of rows as in '1,16,512'");
  if (model === undefined && !full && (quick || device.kind === 'cpu')) {
    const own = quick ? QUICK_SHAPES : CPU_SHAPES;
    return ms ? product(distinct(own.map(({ n, k }) => ({ n, k }))), ms) : own;
  }
  if (model !== undefined) return product(matricesOf(model.split(',')), ms ?? (full ? ALL_MS : MS));
  if (full)
    return product(
      [...matricesOf(MODEL_NAMES.filter((name) => name !== 'tiny')), ...ODD_MATRICES],
      ms ?? ALL_MS,
    );
  const large = [8192, 28_672].map((n) => ({ n, k: 8192 }));
  return product([...matricesOf(['llama-3-8b']), ...large, ...ODD_MATRICES.slice(0, 2)], ms ?? MS);
}

function matricesOf(models: readonly string[]): MatrixExtents[] {
  return distinct(models.flatMap((name) => layerMatrices(name.trim())));
}

function distinct(matrices: readonly MatrixExtents[]): MatrixExtents[] {
  return [...new Map(matrices.map((matrix) => [`${matrix.n} x ${matrix.k}`, matrix])).values()];
}

function product(matrices: readonly MatrixExtents[], ms: readonly number[]): Shape[] {
  return matrices.flatMap(({ n, k }) => ms.map((m) => ({ m, n, k })));
}

/** `M,N,K;M,N,K` @throws QutlassError `QUTLASS_E_ARGUMENT` */
export function parseShapes(text: string): Shape[] {
  const expected = "M,N,K;M,N,K;... as in '1,4096,4096;32,4096,4096'";
  return text.split(';').map((part) => {
    const [m, n, k] = parseExtents(part, '--shapes', expected, 3) as [number, number, number];
    return { m, n, k };
  });
}

export function shapeName({ m, n, k }: Shape): string {
  return `${m} x ${n} x ${k}`;
}
