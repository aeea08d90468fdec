import { expect, it } from 'vitest';
import { formatMegabytes, formatScientific, formatSeconds, formatSigned, formatSpread } from './format.js';

it('writes times in the unit that fits', () => {
  expect([12.34e-6, 1.234e-3, 0.1234, 12.34].map(formatSeconds)).toEqual([
    '12.3 us',
    '1.23 ms',
    '123 ms',
    '12.3 s',
  ]);
});

it('writes half of the range relative to the median', () => {
  expect(formatSpread({ median: 100, p10: 95, p90: 111 })).toBe('±8 %');
});

it('writes signs, and zero as positive', () => {
  expect([0.04214, -0.0006, -0.00001, 0].map((value) => formatSigned(value, 4))).toEqual([
    '+0.0421',
    '-0.0006',
    '+0.0000',
    '+0.0000',
  ]);
});

it('writes sizes and small numbers', () => {
  expect(formatMegabytes(7_344_640)).toBe('7.34');
  expect(formatScientific(0.00905)).toBe('9.05e-3');
});
