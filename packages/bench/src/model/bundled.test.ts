import { expect, it } from 'vitest';
import { bundledModel, expectedLoss } from './bundled.js';
import { VARIANTS, variantName } from './variants.js';

it('losses are known of the bundled model alone', () => {
  expect(expectedLoss(bundledModel(), 'nvfp4')).toBe(2.0046);
  expect(expectedLoss(bundledModel(), 'nf4')).toBeNull();
  expect(expectedLoss('/elsewhere/tiny-llama', 'nvfp4')).toBeNull();
});

it('there are seven of them', () => {
  const known = VARIANTS.filter((variant) => expectedLoss(bundledModel(), variantName(variant)) !== null);
  expect(known).toHaveLength(7);
});
