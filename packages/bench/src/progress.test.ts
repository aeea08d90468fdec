import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { createProgress } from './progress.js';

function display(properties: { isTTY?: boolean; columns?: number }): string {
  const stream = Object.assign(new PassThrough({ encoding: 'utf8' }), properties);
  const progress = createProgress(stream as unknown as NodeJS.WriteStream);
  progress.step('1/2 nvfp4');
  progress.detail('detail');
  progress.step('2/2 mxfp4 + hadamard(32)');
  progress.end();
  return stream.read() as string;
}

it('writes a line for each step where there is no terminal', () => {
  expect(display({})).toBe('1/2 nvfp4\n2/2 mxfp4 + hadamard(32)\n');
});

it('draws over one line of a terminal, cut to its width, and clears it at the end', () => {
  const clear = '\r\u001B[2K';
  const drawn = display({ isTTY: true, columns: 12 });
  expect(drawn.startsWith(`${clear}1/2 nvfp4${clear}`)).toBe(true);
  expect(drawn.endsWith(`${clear}2/2 mxfp4 +${clear}`)).toBe(true);
  expect(drawn).not.toContain('\n');
});
