import { invalidArgument } from '@qutlass/core-kernels';

/** The number that an option holds; its range is checked where it is used. */
export function numberOf(option: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) {
    throw invalidArgument('QUTLASS_E_ARGUMENT', option, 'a number', JSON.stringify(text));
  }
  return value;
}
