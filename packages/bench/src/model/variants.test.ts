import { FORMAT_PAIRS } from '@qutlass/gemm';
import { expect, it } from 'vitest';
import { QUICK_VARIANTS, VARIANTS, variantName } from './variants.js';

it.each(Object.entries({ VARIANTS, QUICK_VARIANTS }))(
  '%s start unquantized and have distinct names',
  (_, variants) => {
    const names = variants.map(variantName);
    expect(names[0]).toBe('unquantized');
    expect(new Set(names).size).toBe(names.length);
  },
);

it('quantize activations in formats that multiply with the weights', () => {
  for (const { weights, activations } of VARIANTS) {
    if (activations) expect(FORMAT_PAIRS[activations.kind]).toContain(weights?.kind);
  }
});

it('the quick ones are among all', () => {
  const all = VARIANTS.map(variantName);
  for (const variant of QUICK_VARIANTS) expect(all).toContain(variantName(variant));
});
