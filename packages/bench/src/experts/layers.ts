import { type Device, invalidArgument } from '@qutlass/core-kernels';
import { parseExtents } from '../cli/extents.js';

/** A matrix of the experts of a layer: E times [N, K], of which every token takes some. */
export interface ExpertsLayer {
  readonly experts: number;
  readonly n: number;
  readonly k: number;
  /** Experts of a token. */
  readonly top: number;
}

/** The first matrices of the experts of gpt-oss-20b and Qwen3-30B-A3B, gate and up together. */
const LAYERS: readonly ExpertsLayer[] = [
  { experts: 32, n: 5760, k: 2880, top: 4 },
  { experts: 128, n: 1536, k: 2048, top: 8 },
];
const SMALL_LAYERS: readonly ExpertsLayer[] = [{ experts: 8, n: 512, k: 512, top: 2 }];

/** The layers that a command measures; those of models are too large for a CPU in the time that it takes. */
export function defaultLayers({ kind }: Device, quick: boolean): readonly ExpertsLayer[] {
  return quick || kind === 'cpu' ? SMALL_LAYERS : LAYERS;
}

/** `E,N,K,top;E,N,K,top` @throws QutlassError `QUTLASS_E_ARGUMENT` */
export function parseLayers(text: string): ExpertsLayer[] {
  const expected = "E,N,K,T;E,N,K,T;... with T of E experts for a token, as in '32,5760,2880,4'";
  return text.split(';').map((part) => {
    const numbers = parseExtents(part, '--layers', expected, 4) as [number, number, number, number];
    const [experts, n, k, top] = numbers;
    if (top > experts) throw invalidArgument('QUTLASS_E_ARGUMENT', '--layers', expected, part);
    return { experts, n, k, top };
  });
}

/** `32 x 5760 x 2880, 4 for a token` */
export function layerName({ experts, n, k, top }: ExpertsLayer): string {
  return `${experts} x ${n} x ${k}, ${top} for a token`;
}
