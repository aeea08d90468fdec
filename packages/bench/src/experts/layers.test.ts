import { expect, it } from 'vitest';
import { parseLayers } from './layers.js';
import { routeTokens } from './measure.js';

it('reads layers', () => {
  expect(parseLayers('32,5760,2880,4; 8,16,32,2')).toEqual([
    { experts: 32, n: 5760, k: 2880, top: 4 },
    { experts: 8, n: 16, k: 32, top: 2 },
  ]);
});

it.each(['8,16,32', '8,16,32,9', '8,16,0,2', '8,16,32,2,1', 'x'])('refuses %s as a layer', (text) => {
  expect(() => parseLayers(text)).toThrow(
    `--layers: expected E,N,K,T;E,N,K,T;... with T of E experts for a token, as in '32,5760,2880,4', got ${text}`,
  );
});

it('gives each token as many different experts, the same in every run', () => {
  const layer = { experts: 16, n: 32, k: 32, top: 4 };
  const counts = routeTokens(layer, 9);
  expect(counts).toHaveLength(16);
  expect(counts.reduce((sum, count) => sum + count)).toBe(36);
  expect(Math.max(...counts)).toBeLessThanOrEqual(9);
  expect(routeTokens(layer, 9)).toEqual(counts);
  expect(routeTokens(layer, 1).filter((count) => count === 1)).toHaveLength(4);
});
