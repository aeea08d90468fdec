/** Philox 4x32-10 (Salmon et al., SC'11), as published, in BigInt. */
export function philox(key: bigint, counter: readonly bigint[]): bigint[] {
  const mask = 0xffffffffn;
  let [a, b, c, d] = counter as [bigint, bigint, bigint, bigint];
  let [low, high] = [key & mask, key >> 32n];
  for (let round = 0; round < 10; ++round) {
    const [first, second] = [0xd2511f53n * a, 0xcd9e8d57n * c];
    [a, b, c, d] = [(second >> 32n) ^ b ^ low, second & mask, (first >> 32n) ^ d ^ high, first & mask];
    [low, high] = [(low + 0x9e3779b9n) & mask, (high + 0xbb67ae85n) & mask];
  }
  return [a, b, c, d];
}

/** The 16 bits of each element of a matrix [rows, cols] that is rounded stochastically. */
export function roundingBits(seed: number, draw: number, rows: number, cols: number): Uint16Array {
  const bits = new Uint16Array(rows * cols);
  for (let row = 0; row < rows; ++row) {
    for (let col = 0; col < cols; col += 8) {
      const words = philox(BigInt(seed), [BigInt(col / 8), BigInt(row), 0x726f756en, BigInt(draw)]);
      for (let i = 0; i < 8 && col + i < cols; ++i) {
        bits[row * cols + col + i] = Number((words[i >> 1]! >> BigInt(16 * (i & 1))) & 0xffffn);
      }
    }
  }
  return bits;
}
