import { expect, it } from 'vitest';
import { parseExtents } from './extents.js';

it('reads positive integers', () => {
  expect(parseExtents('1, 64', '--m', 'numbers')).toEqual([1, 64]);
  expect(parseExtents('8', '--m', 'a number', 1)).toEqual([8]);
});

it.each([
  ['4,-1', undefined],
  ['0', undefined],
  ['', undefined],
  ['1,x', undefined],
  ['1,2', 3],
])('refuses %j where %s are expected', (text, count) => {
  expect(() => parseExtents(text, '--m', 'numbers', count)).toThrow(`--m: expected numbers, got ${text}`);
});
