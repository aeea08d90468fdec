import { describe, expect, it } from 'vitest';
import { colorsFor } from '../cli/colors.js';
import { renderText } from './render-text.js';
import { tableOf } from './table.js';

const table = tableOf(
  'Title',
  [
    { name: 'nvfp4', loss: 2.0046 },
    { name: 'mxfp4-abs_max', loss: 12 },
  ],
  [
    { title: 'Format', value: ({ name }) => name },
    { title: 'Loss', align: 'right', value: ({ loss }) => ({ text: loss.toFixed(2), tone: 'bad' }) },
  ],
  'A note.',
);

describe('renderText', () => {
  it('aligns columns and adds nothing but spaces without colors', () => {
    expect(renderText(table, colorsFor({}, {}))).toBe(
      ['Title', 'Format          Loss', 'nvfp4           2.00', 'mxfp4-abs_max  12.00', 'A note.'].join('\n'),
    );
  });

  it('colors tones on a terminal, in the same columns', () => {
    const colored = renderText(table, colorsFor({ isTTY: true }, {}));
    expect(colored).toContain('\u001B[31m12.00');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character starts a color
    const lines = colored.replaceAll(/\u001B\[\d+m/g, '').split('\n');
    expect(lines[3]).toBe('mxfp4-abs_max  12.00');
  });
});

describe('colorsFor', () => {
  it.each([
    ['a terminal', { isTTY: true }, {}, true],
    ['a pipe', {}, {}, false],
    ['a terminal with NO_COLOR', { isTTY: true }, { NO_COLOR: '1' }, false],
    ['a dumb terminal', { isTTY: true }, { TERM: 'dumb' }, false],
    ['a pipe with FORCE_COLOR', {}, { FORCE_COLOR: '1' }, true],
    ['FORCE_COLOR and NO_COLOR', {}, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  ])('decides for %s', (_name, stream, env, expected) => {
    expect(colorsFor(stream, env).isColorSupported).toBe(expected);
  });
});
