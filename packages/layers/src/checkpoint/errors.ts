import { QutlassError } from '@qutlass/core-kernels';

const LONGEST_QUOTE = 120;

/** A fault in a checkpoint's files. `where` names the file and, if there is one, the tensor or key. */
export function checkpointError(where: string, detail: string, cause?: unknown): QutlassError {
  const options = cause === undefined ? undefined : { cause };
  return new QutlassError('QUTLASS_E_CHECKPOINT', `${where}: ${detail}`, options);
}

/** An operation of the file system that failed, named by its errno code. */
export function fileError(path: string, operation: string, cause: unknown): QutlassError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  return checkpointError(path, `cannot be ${operation} (${code})`, cause);
}

/** `value` as JSON for an error message, shortened: names and values in a hostile file can be of any size. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length <= LONGEST_QUOTE ? text : `${text.slice(0, LONGEST_QUOTE)}...`;
}
