import { QutlassError } from '@qutlass/core-kernels';
import { CommanderError } from 'commander';
import { expect, it } from 'vitest';
import { CheckFailed, describeFailure, Interrupted } from './failure.js';

it.each([
  [new QutlassError('QUTLASS_E_FORMAT', 'format: no'), 'error QUTLASS_E_FORMAT: format: no', 1],
  [new QutlassError('QUTLASS_E_BINARY', 'first\n- second\n'), 'error QUTLASS_E_BINARY: first - second', 1],
  [
    new CommanderError(1, 'commander.x', 'error: unknown option'),
    'error QUTLASS_E_ARGUMENT: unknown option',
    1,
  ],
  [new TypeError('oops'), 'error QUTLASS_E_INTERNAL: oops', 1],
  ['oops', 'error QUTLASS_E_INTERNAL: oops', 1],
  [new CheckFailed('outside'), 'error: outside', 1],
  [new Interrupted(), 'interrupted', 130],
  [new CommanderError(0, 'commander.help', '(outputHelp)'), '', 0],
])('describes %s', (error, text, exitCode) => {
  expect(describeFailure(error, false)).toEqual({ text, exitCode });
});

it('adds the stack when debugging', () => {
  const error = new TypeError('oops');
  expect(describeFailure(error, true).text).toBe(`error QUTLASS_E_INTERNAL: oops\n${error.stack}`);
});
