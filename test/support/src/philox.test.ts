import { expect, it } from 'vitest';
import { philox } from './philox.js';

it('Philox gives the known answers of its authors', () => {
  // Random123, kat_vectors, philox4x32 10.
  const all = 0xffffffffn;
  expect(philox(0n, [0n, 0n, 0n, 0n])).toEqual([0x6627e8d5n, 0xe169c58dn, 0xbc57ac4cn, 0x9b00dbd8n]);
  expect(philox((all << 32n) | all, [all, all, all, all])).toEqual([
    0x408f276dn,
    0x41c83b0en,
    0xa20bc7c6n,
    0x6d5451fdn,
  ]);
  expect(philox(0x299f31d0a4093822n, [0x243f6a88n, 0x85a308d3n, 0x13198a2en, 0x03707344n])).toEqual([
    0xd16cfe09n,
    0x94fdccebn,
    0x5001e420n,
    0x24126ea1n,
  ]);
});
