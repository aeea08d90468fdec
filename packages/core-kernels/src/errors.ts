/** Every failure of the library carries one of these codes; they are stable across versions. */
export const ERROR_CODES = [
  'QUTLASS_E_ARGUMENT',
  'QUTLASS_E_SHAPE',
  'QUTLASS_E_DTYPE',
  'QUTLASS_E_FORMAT',
  'QUTLASS_E_UNSUPPORTED',
  'QUTLASS_E_OUT_OF_MEMORY',
  'QUTLASS_E_NO_DEVICE',
  'QUTLASS_E_CAPTURE',
  'QUTLASS_E_CUDA',
  'QUTLASS_E_INTERNAL',
  'QUTLASS_E_DISPOSED',
  'QUTLASS_E_CHECKPOINT',
  'QUTLASS_E_BINARY',
] as const;

export type QutlassErrorCode = (typeof ERROR_CODES)[number];

/** An error with a stable {@link QutlassErrorCode}; the message names the argument, what was expected and what came. */
export class QutlassError extends Error {
  override readonly name = 'QutlassError';
  readonly code: QutlassErrorCode;

  constructor(code: QutlassErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The uniform text of a refused argument: `name: expected X, got Y`. */
export function invalidArgument(
  code: QutlassErrorCode,
  name: string,
  expected: string,
  actual: string,
): QutlassError {
  return new QutlassError(code, `${name}: expected ${expected}, got ${actual}`);
}
