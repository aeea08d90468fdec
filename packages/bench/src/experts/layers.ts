import { type Device, invalidArgument } from '@qutlass/core-kernels';

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
  return text.split(';').map((part) => {
    const numbers = part.split(',').map((number) => (/^\s*\d+\s*$/.test(number) ? Number(number) : 0));
    const [experts = 0, n = 0, k = 0, top = 0] = numbers;
    if (numbers.length !== 4 || numbers.includes(0) || top > experts) {
      const expected = "E,N,K,T;E,N,K,T;... with T of E experts for a token, as in '32,5760,2880,4'";
      throw invalidArgument('QUTLASS_E_ARGUMENT', '--layers', expected, part);
    }
    return { experts, n, k, top };
  });
}

/** `1,4,16` @throws QutlassError `QUTLASS_E_ARGUMENT` */
export function parseTokens(text: string): number[] {
  return text.split(',').map((part) => {
    const value = /^\s*\d+\s*$/.test(part) ? Number(part) : 0;
    if (value > 0) return value;
    const expected = "numbers of tokens as in '1,4,64'";
    throw invalidArgument('QUTLASS_E_ARGUMENT', '--tokens', expected, JSON.stringify(text));
  });
}

/** `32 x 5760 x 2880, 4 for a token` */
export function layerName({ experts, n, k, top }: ExpertsLayer): string {
  return `${experts} x ${n} x ${k}, ${top} for a token`;
}
