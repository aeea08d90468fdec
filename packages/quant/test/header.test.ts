import { headerEnum } from '@qutlass/test-support';
import { expect, it } from 'vitest';
import { ELEMENTS, RULES } from '../src/index.js';
import { ROUNDINGS } from '../src/rounding.js';
import { SCALE_LAYOUTS } from '../src/scales.js';

// The numbers of formats are those of the C header.

const ids = (elements: Readonly<Record<string, { id: number }>>) =>
  Object.fromEntries(Object.entries(elements).map(([name, { id }]) => [name, id]));

/** The constants of an enum, named as TypeScript names them. */
function constants(name: string, prefix: RegExp): Record<string, number> {
  const entries = Object.entries(headerEnum(name)).filter(([key]) => !key.endsWith('_COUNT'));
  return Object.fromEntries(entries.map(([key, value]) => [key.replace(prefix, '').toLowerCase(), value]));
}

it('elements', () => {
  expect(ids(ELEMENTS)).toEqual(constants('qutlass_element', /^QUTLASS_/));
});

it('rules', () => {
  expect({ ...RULES }).toEqual(constants('qutlass_rule', /^QUTLASS_RULE_(MX_|NV_(?=.))?/));
});

it('scale layouts', () => {
  const layouts = Object.entries(SCALE_LAYOUTS).map(([name, id]) => [name.toLowerCase(), id]);
  const expected = Object.entries(constants('qutlass_scale_layout', /^QUTLASS_SCALES_/));
  expect(Object.fromEntries(layouts)).toEqual(
    Object.fromEntries(expected.map(([name, id]) => [name.replace('_', ''), id])),
  );
});

it('roundings', () => {
  expect({ ...ROUNDINGS }).toEqual(constants('qutlass_rounding_kind', /^QUTLASS_ROUNDING_/));
});
