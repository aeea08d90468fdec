import { expect, it } from 'vitest';
import { parseVariant, variantName } from './variants.js';

it.each([
  ['bf16', 'unquantized'],
  ['nvfp4', 'nvfp4'],
  ['int8-row:int4-g128', 'int8-row x int4-g128'],
  [' mxfp4:mxfp4+32', 'mxfp4 x mxfp4 + hadamard(32)'],
  ['int4+128', 'int4-g128 + hadamard(128)'],
])('reads %j', (text, name) => {
  expect(variantName(parseVariant(text))).toBe(name);
});

it.each(['nvfp4+', 'nvfp4+x', 'nvfp4+16+16'])('refuses %j', (text) => {
  expect(() => parseVariant(text)).toThrow(
    "--formats: expected activations:weights+rotation as in 'mxfp4:mxfp4+32'",
  );
});
