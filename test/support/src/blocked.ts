/** Where scale (row, col) of [rows, cols] lies in the 128x4 blocked layout: tiles of 512 bytes, rows 32 apart together. */
export function blockedOffset(row: number, col: number, cols: number): number {
  const tile = Math.floor(row / 128) * Math.ceil(cols / 4) + Math.floor(col / 4);
  return tile * 512 + (row % 32) * 16 + Math.floor((row % 128) / 32) * 4 + (col % 4);
}
