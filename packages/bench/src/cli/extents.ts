import { invalidArgument } from '@qutlass/core-kernels';

/**
 * The positive integers of a list such as `1,16,512`, as many as `count` if it is given.
 * @throws QutlassError `QUTLASS_E_ARGUMENT` that names the option and what was expected
 */
export function parseExtents(text: string, option: string, expected: string, count?: number): number[] {
  const extents = text.split(',').map((part) => (/^\s*\d+\s*$/.test(part) ? Number(part) : 0));
  if (!extents.includes(0) && (count ?? extents.length) === extents.length) return extents;
  throw invalidArgument('QUTLASS_E_ARGUMENT', option, expected, text);
}
