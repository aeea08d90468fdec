import { LOSS_TOLERANCE } from '../model/bundled.js';
import type { ErrorRow, ModelRow } from '../results/types.js';

/** How far a measured error is from the expected one, relative; null without an expected one. */
export function deviation({ relativeSquaredError, expected }: ErrorRow): number | null {
  return expected === null ? null : relativeSquaredError / expected - 1;
}

export function isErrorOff(row: ErrorRow): boolean {
  const off = deviation(row);
  return off !== null && Math.abs(off) > row.tolerance!;
}

export function isLossOff({ loss, expectedLoss }: ModelRow): boolean {
  // Written so that a loss of NaN is off, too.
  return expectedLoss !== null && !(Math.abs(loss - expectedLoss) <= LOSS_TOLERANCE);
}
