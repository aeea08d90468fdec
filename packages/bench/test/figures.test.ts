import { Device } from '@qutlass/core-kernels';
import { expect, it } from 'vitest';
import { FIGURES } from '../src/accuracy/figures.js';
import { isErrorOff, measureErrors } from '../src/index.js';

it('the quantizers reproduce the known errors of random matrices', async () => {
  const rows = await measureErrors({ device: Device.default });
  expect(rows.filter(isErrorOff)).toEqual([]);
  const known = Object.values(FIGURES).reduce((sum, figures) => sum + Object.keys(figures).length, 0);
  expect(rows.filter(({ expected }) => expected !== null)).toHaveLength(known);
}, 300_000);
