import { invalidArgument } from '@qutlass/core-kernels';

/** out[M, N] = A[M, K] B[N, K]^T */
export interface Shape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Decoding, a small batch and a prompt on the matrices of a 7 B Llama. */
export const SHAPES: readonly Shape[] = [
  { m: 1, n: 4096, k: 4096 },
  { m: 32, n: 4096, k: 4096 },
  { m: 512, n: 4096, k: 4096 },
  { m: 1, n: 11008, k: 4096 },
];

export const QUICK_SHAPES: readonly Shape[] = [
  { m: 1, n: 512, k: 512 },
  { m: 64, n: 512, k: 512 },
];

/** `M,N,K;M,N,K` @throws QutlassError `QUTLASS_E_ARGUMENT` */
export function parseShapes(text: string): Shape[] {
  return text.split(';').map((part) => {
    const [m, n, k, ...rest] = part
      .split(',')
      .map((number) => (/^\s*\d+\s*$/.test(number) ? Number(number) : 0));
    if (!m || !n || !k || rest.length > 0) {
      throw invalidArgument(
        'QUTLASS_E_ARGUMENT',
        '--shapes',
        "M,N,K;M,N,K;... as in '1,4096,4096;32,4096,4096'",
        part,
      );
    }
    return { m, n, k };
  });
}

export function shapeName({ m, n, k }: Shape): string {
  return `${m} x ${n} x ${k}`;
}
