import { QutlassError } from '@qutlass/core-kernels';
import { CommanderError } from 'commander';

/** The user ended the command with Ctrl-C. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  constructor() {
    super('interrupted');
  }
}

/** A result outside of its bounds: the command worked, and its answer is no. */
export class CheckFailed extends Error {
  override readonly name = 'CheckFailed';
}

export interface Failure {
  /** For stderr; empty if there is nothing to say. */
  readonly text: string;
  readonly exitCode: number;
}

/** What the command line says of an error, in one line; with the environment variable DEBUG also where it came from. */
export function describeFailure(error: unknown, debug: boolean): Failure {
  // --help and --version end this way too; they have printed their text.
  if (error instanceof CommanderError && error.exitCode === 0) return { text: '', exitCode: 0 };
  if (error instanceof Interrupted) return { text: 'interrupted', exitCode: 130 };
  const { code, message } = classify(error);
  const oneLine = message.replaceAll(/\s*\n\s*/g, ' ').trim();
  const stack = debug && error instanceof Error ? `\n${error.stack}` : '';
  return { text: `error${code && ` ${code}`}: ${oneLine}${stack}`, exitCode: 1 };
}

function classify(error: unknown): { code: string; message: string } {
  if (error instanceof CheckFailed) return { code: '', message: error.message };
  if (error instanceof QutlassError) return { code: error.code, message: error.message };
  if (error instanceof CommanderError) {
    return { code: 'QUTLASS_E_ARGUMENT', message: error.message.replace(/^error: /, '') };
  }
  return { code: 'QUTLASS_E_INTERNAL', message: error instanceof Error ? error.message : String(error) };
}
