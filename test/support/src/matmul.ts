/** The exact product D* and what its rounding errors are measured against. */
export interface Product {
  /** alpha * A W^T + bias, [m, n]. */
  readonly exact: Float64Array;
  /** abs(alpha) * sum of abs(A) abs(W). */
  readonly magnitude: Float64Array;
}

export interface ReferenceEpilogue {
  readonly alpha?: number;
  readonly bias?: ArrayLike<number>;
}

/** a [m, k] times the transpose of w [n, k], in float64. */
export function referenceMatmul(
  a: ArrayLike<number>,
  w: ArrayLike<number>,
  [m, n, k]: readonly [m: number, n: number, k: number],
  { alpha = 1, bias }: ReferenceEpilogue = {},
): Product {
  if (a.length !== m * k || w.length !== n * k) throw new Error('the operands do not have this shape');
  const exact = new Float64Array(m * n);
  const magnitude = new Float64Array(m * n);
  for (let row = 0; row < m; ++row) {
    for (let col = 0; col < n; ++col) {
      let sum = 0;
      let absolute = 0;
      for (let i = 0; i < k; ++i) {
        const term = (a[row * k + i] as number) * (w[col * k + i] as number);
        sum += term;
        absolute += Math.abs(term);
      }
      exact[row * n + col] = alpha * sum + (bias?.[col] ?? 0);
      magnitude[row * n + col] = Math.abs(alpha) * absolute;
    }
  }
  return { exact, magnitude };
}

/**
 * c of the contract by what a kernel sums in. Integers and doubles have no error but that of the test's own float64; f22 is
 * what the FP8 tensor cores of Hopper keep, which has to be asked for.
 */
const ACCUMULATOR: Readonly<Record<string, number>> = {
  f22: 2 ** -11,
  f32: 2 ** -16,
  f64: 2 ** -40,
  i32: 2 ** -40,
};
/** One step of the output relative to its value, and the smallest step. */
const OUTPUT = {
  f32: { relative: 2 ** -23, absolute: 2 ** -149 },
  bf16: { relative: 2 ** -8, absolute: 2 ** -133 },
  f16: { relative: 2 ** -10, absolute: 2 ** -24 },
} as const;

/** How far the result of a kernel may be from the exact product: relative * abs(D*) + c * sum of abs(A) abs(W). */
export function productBound(
  product: Product,
  outDType: keyof typeof OUTPUT,
  accumulator: string,
): Float64Array {
  const c = ACCUMULATOR[accumulator];
  if (c === undefined) throw new Error(`no bound is known for the accumulator ${accumulator}`);
  const { relative, absolute } = OUTPUT[outDType];
  return product.exact.map(
    (value, i) => relative * Math.abs(value) + c * (product.magnitude[i] as number) + absolute,
  );
}
