import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type Architecture,
  FORMAT_PAIRS,
  HARDWARE,
  PRECISION_MATRIX,
  precisionOf,
  precisionTable,
} from './index.js';
import { productsIn } from './precision.js';

const run = (
  a: Parameters<typeof precisionOf>[0],
  b: Parameters<typeof precisionOf>[1],
  on: Architecture,
) => {
  const { precision, native, products } = precisionOf(a, b, on);
  return `${native ? 'native' : 'as'} ${products > 1 ? `${products} x ` : ''}${precision}`;
};

describe('the precision of a pair', () => {
  it('is that of an instruction, where there is one', () => {
    expect(run('nvfp4', 'nvfp4', 'sm_120')).toBe('native fp4');
    expect(run('mxfp4', 'mxfp4', 'sm_100')).toBe('native fp4');
    expect(run('mxfp8', 'mxfp4', 'sm_121')).toBe('native fp8');
    expect(run('fp8', 'fp8', 'sm_89')).toBe('native fp8');
    expect(run('fp8', 'fp8', 'sm_90')).toBe('native fp8');
    expect(run('int8', 'int8', 'sm_75')).toBe('native int8');
    expect(run('int4', 'int4', 'sm_86')).toBe('native int4');
    expect(run('bf16', 'bf16', 'sm_80')).toBe('native bf16');
    expect(run('f32', 'f32', 'x64')).toBe('native f32');
  });

  it('is otherwise one that holds the codes', () => {
    expect(run('nvfp4', 'nvfp4', 'sm_90')).toBe('as bf16');
    expect(run('fp8', 'fp8', 'sm_80')).toBe('as bf16');
    expect(run('mxfp8', 'mxfp8', 'sm_90')).toBe('as bf16');
    expect(run('int4', 'int4', 'sm_90')).toBe('as int8');
    expect(run('int8', 'int4', 'sm_80')).toBe('as int8');
    expect(run('bf16', 'int4', 'sm_120')).toBe('as bf16');
    expect(run('f16', 'nvfp4', 'sm_80')).toBe('as f16');
    expect(run('nvfp4', 'nvfp4', 'sm_75')).toBe('as f16');
    expect(run('bf16', 'bf16', 'sm_75')).toBe('as f32');
    expect(run('nvfp4', 'nvfp4', 'x64')).toBe('as f32');
  });

  it('takes several products where values are split', () => {
    expect(run('f32', 'f32', 'sm_90')).toBe('as 5 x bf16');
    expect(run('f32', 'nvfp4', 'sm_90')).toBe('as 2 x bf16');
    expect(run('bf16', 'nf4', 'sm_90')).toBe('as 2 x bf16');
    expect(run('f32', 'nf4', 'sm_90')).toBe('as 4 x bf16');
    expect(productsIn('f32', 'f32', 'f32')).toBe(1);
  });

  it('is one that the hardware has', () => {
    for (const { a, b, on } of PRECISION_MATRIX) {
      for (const { name, architecture, peak } of HARDWARE) {
        expect(peak, `${a} x ${b} on ${name}`).toHaveProperty(on[architecture].precision);
      }
    }
  });
});

describe('the matrix', () => {
  it('has every pair of formats, and every format as a weight', () => {
    const pairs = PRECISION_MATRIX.map(({ a, b }) => `${a} x ${b}`);
    expect(new Set(pairs).size).toBe(pairs.length);
    for (const [a, partners] of Object.entries(FORMAT_PAIRS)) {
      expect(pairs).toEqual(expect.arrayContaining([`bf16 x ${a}`, ...partners.map((b) => `${a} x ${b}`)]));
    }
  });

  it('survives JSON', () => {
    expect(JSON.parse(JSON.stringify(PRECISION_MATRIX))).toEqual(PRECISION_MATRIX);
  });

  it('is the table of the documentation', () => {
    const document = join(import.meta.dirname, '../../../docs/precision.md');
    expect(readFileSync(document, 'utf8')).toContain(`\n\n${precisionTable()}\n\n`);
  });
});
