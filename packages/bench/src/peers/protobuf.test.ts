import { expect, it } from 'vitest';
import { message } from './protobuf.js';

// The examples of the description of the encoding, protobuf.dev/programming-guides/encoding.

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

it('integers are varints', () => {
  expect(hex(message({ 1: 150 }))).toBe('089601');
  expect(hex(message({ 1: 0, 16: 2 ** 32 }))).toBe('080080018080808010');
});

it('texts, bytes and messages have their length before them', () => {
  expect(hex(message({ 2: 'testing' }))).toBe('120774657374696e67');
  expect(hex(message({ 2: Uint8Array.of(7, 8) }))).toBe('12020708');
  expect(hex(message({ 3: message({ 1: 150 }) }))).toBe('1a03089601');
});

it('repeated fields follow each other, and absent ones are left out', () => {
  expect(hex(message({ 4: 'hello', 5: [1, 2, 3], 6: undefined }))).toBe('220568656c6c6f280128022803');
});
