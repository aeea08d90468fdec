import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ERROR_CODES, invalidArgument, QutlassError } from './errors.js';
import { loadBinding } from './loader.js';

it('an error has a code, a message, a cause and the name of its class', () => {
  const cause = new Error('inner');
  const error = new QutlassError('QUTLASS_E_SHAPE', 'x: expected rank 2', { cause });
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({
    name: 'QutlassError',
    code: 'QUTLASS_E_SHAPE',
    message: 'x: expected rank 2',
    cause,
  });
  expect(`${error}`).toBe('QutlassError: x: expected rank 2');
  expect('cause' in new QutlassError('QUTLASS_E_SHAPE', 'x')).toBe(false);
});

it('a refused argument is described in one way', () => {
  const error = invalidArgument('QUTLASS_E_DTYPE', 'bias', 'f32', 'i8');
  expect([error.code, error.message]).toEqual(['QUTLASS_E_DTYPE', 'bias: expected f32, got i8']);
});

it('the codes are different, and contain every status of the C ABI', () => {
  expect(new Set(ERROR_CODES).size).toBe(ERROR_CODES.length);
  const header = readFileSync(join(import.meta.dirname, '../native/include/qutlass.h'), 'utf8');
  const statuses = header.match(/QUTLASS_E_\w+(?= = \d)/g) ?? [];
  expect(statuses).toHaveLength(10);
  expect(ERROR_CODES).toEqual(expect.arrayContaining(statuses));
});

it('native failures are QutlassErrors with a stack', () => {
  const native = loadBinding();
  expect(() => native.deviceInfo({} as never)).toThrow(
    expect.objectContaining({
      name: 'QutlassError',
      code: 'QUTLASS_E_ARGUMENT',
      message: 'argument 0 of the native call: expected a device',
      stack: expect.stringContaining('errors.test.ts'),
    }),
  );
});

it('handles of one kind do not pass for another', () => {
  const native = loadBinding();
  const device = native.deviceOpen('cpu', 1);
  const stream = native.streamCreate(device);
  const tensor = native.tensorCreate(device, 0, [1], 4, null, null);
  const message = (action: () => unknown) => {
    try {
      action();
    } catch (error) {
      return (error as Error).message;
    }
    return undefined;
  };
  const expected = (index: number, what: string) => `argument ${index} of the native call: expected ${what}`;
  expect(message(() => native.deviceInfo(stream as never))).toBe(expected(0, 'a device'));
  expect(message(() => native.streamSynchronize(device as never))).toBe(expected(0, 'a stream'));
  expect(message(() => native.transpose(stream, device as never, tensor))).toBe(expected(1, 'a tensor'));
  expect(message(() => native.streamWait(stream, tensor as never))).toBe(expected(1, 'an event'));
  expect(message(() => native.graphLaunch(stream as never, stream))).toBe(expected(0, 'a graph'));
  expect(message(() => native.rotate(stream, tensor, tensor as never, tensor))).toBe(
    expected(2, 'a rotation'),
  );
  expect(message(() => native.tensorCreate(device, 0, [1], 4, null, tensor))).toBe(
    expected(5, 'a released tensor'),
  );
  native.tensorRelease(tensor);
  expect(message(() => native.transpose(stream, tensor, tensor))).toBe(
    expected(1, 'a tensor that is not disposed'),
  );
  native.streamDestroy(stream);
  expect(message(() => native.streamSynchronize(stream))).toBe(
    'stream: expected a live stream, got a destroyed one',
  );
});
