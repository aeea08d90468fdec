/** A source of uniform numbers in (0, 1). */
export type Uniform = () => number;

/** xoshiro128** 1.1 (Blackman and Vigna, 2021), its state from splitmix32: equal seeds give equal numbers everywhere. */
export function uniform(seed: number): Uniform {
  let counter = seed >>> 0;
  const splitmix = () => {
    counter = (counter + 0x9e3779b9) | 0;
    let z = counter;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  let [a, b, c, d] = [splitmix(), splitmix(), splitmix(), splitmix()];
  return () => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    // The middle of one of 2^32 cells: neither 0 nor 1, so its logarithm is finite.
    return (result + 0.5) / 2 ** 32;
  };
}

/** The numbers below `count` in random order (Fisher and Yates). */
export function shuffled(count: number, next: Uniform): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; --i) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Standard normal numbers by Box and Muller (1958). */
export function normal(next: Uniform): () => number {
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(next()));
    const angle = 2 * Math.PI * next();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/** Laplace numbers of scale 1, by inversion. */
export function laplace(next: Uniform): () => number {
  return () => {
    const u = next() - 0.5;
    return -Math.sign(u) * Math.log(1 - 2 * Math.abs(u));
  };
}

/** Student-t numbers with 4 degrees of freedom: normal over the root of a mean square of four normals. */
export function studentT4(next: Uniform): () => number {
  const gaussian = normal(next);
  // A chi-squared number with 4 degrees is twice the sum of two exponential ones.
  return () => gaussian() / Math.sqrt((-2 * Math.log(next() * next())) / 4);
}

export const DISTRIBUTIONS = {
  normal: 'N(0,1)',
  laplace: 'Laplace',
  student_t4: 'Student-t(4)',
  outliers: 'N(0,1), every 128th column times 20',
} as const;

export type Distribution = keyof typeof DISTRIBUTIONS;

/** Random numbers [rows, cols]. */
export function randomMatrix(distribution: Distribution, rows: number, cols: number, seed = 0): Float32Array {
  const next = uniform(seed);
  const draw = { normal, laplace, student_t4: studentT4, outliers: normal }[distribution](next);
  const values = new Float32Array(rows * cols);
  for (let i = 0; i < values.length; ++i) values[i] = draw();
  if (distribution === 'outliers') for (let i = 0; i < values.length; i += 128) values[i]! *= 20;
  return values;
}
