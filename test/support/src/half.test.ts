import { expect, it } from 'vitest';
import { f16Bits, f16Value } from './half.js';

it('half precision bits survive the way to a number and back', () => {
  for (let bits = 0; bits < 65536; ++bits) {
    const value = f16Value(bits);
    if (!Number.isNaN(value)) expect(f16Bits(value)).toBe(bits);
  }
});

it.each([
  ['a tie to even, down', 1 + 2 ** -11, 0x3c00],
  ['a tie to even, up', 1 + 3 * 2 ** -11, 0x3c02],
  ['up to the next power of two', 2 - 2 ** -12, 0x4000],
  ['the largest', 65519, 0x7bff],
  ['beyond the largest', 65520, 0x7c00],
  ['the smallest', 2 ** -24, 1],
  ['half of the smallest, to zero', 2 ** -25, 0],
  ['more than that', 1.001 * 2 ** -25, 1],
])('numbers are rounded to half precision: %s', (_, value, bits) => {
  expect(f16Bits(value)).toBe(bits);
  expect(f16Bits(-value)).toBe(bits | 0x8000);
});
