/** What repeated measurements of one quantity say: the middle, and where 80 % of them lie. */
export interface Spread {
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
}

/** The quantile q, interpolated linearly between order statistics (definition 7 of Hyndman and Fan, 1996). */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0 || !(q >= 0 && q <= 1)) {
    throw new RangeError(
      `quantile: expected values and q from 0 to 1, got ${values.length} values, q = ${q}`,
    );
  }
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (position - below);
}

export function summarize(values: readonly number[]): Spread {
  return { median: quantile(values, 0.5), p10: quantile(values, 0.1), p90: quantile(values, 0.9) };
}

/** A quantity that every run reproduces. */
export function exact(value: number): Spread {
  return { median: value, p10: value, p90: value };
}

/** The amount that is done in each call, per second, from the seconds of a call. */
export function perSecond({ median, p10, p90 }: Spread, amount: number): Spread {
  return { median: amount / median, p10: amount / p90, p90: amount / p10 };
}

/** Of the reciprocals. */
export function inverse({ median, p10, p90 }: Spread): Spread {
  return { median: 1 / median, p10: 1 / p90, p90: 1 / p10 };
}

/** Sum of (y - x)^2 over sum of x^2, in float64. */
export function relativeSquaredError(x: Float32Array, y: Float32Array): number {
  if (x.length !== y.length) {
    throw new RangeError(`relativeSquaredError: expected equal lengths, got ${x.length} and ${y.length}`);
  }
  let error = 0;
  let energy = 0;
  for (let i = 0; i < x.length; ++i) {
    error += (y[i]! - x[i]!) ** 2;
    energy += x[i]! ** 2;
  }
  return error / energy;
}

export function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** Of the mean of independent values, from their own spread; 0 for a single one. */
export function standardError(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}
