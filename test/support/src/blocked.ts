/** Where scale (row, col) of [rows, cols] lies in the 128x4 blocked layout: tiles of 512 bytes, rows 32 apart together. */
export function blockedOffset(row: number, col: number, cols: number): number {
  const tile = Math.floor(row / 128) * Math.ceil(cols / 4) + Math.floor(col / 4);
  return tile * 512 + (row % 32) * 16 + Math.floor((row % 128) / 32) * 4 + (col % 4);
}

/** Scale bytes [rows, cols] in the blocked layout, zero padded. */
export function blockScales(scales: Uint8Array, rows: number, cols: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(rows / 128) * Math.ceil(cols / 4) * 512);
  for (let row = 0; row < rows; ++row) {
    for (let col = 0; col < cols; ++col) {
      out[blockedOffset(row, col, cols)] = scales[row * cols + col] as number;
    }
  }
  return out;
}
