import { describe, expect, it } from 'vitest';
import {
  bitsPerElement,
  FORMATS,
  formatByName,
  fp8,
  int4,
  int8,
  mxfp4,
  mxfp8,
  nf4,
  nvfp4,
  paddedCols,
  scaleShape,
} from './index.js';

describe('formats', () => {
  it('have unique names that lead back to them', () => {
    const names = FORMATS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const format of FORMATS) expect(formatByName(format.name)).toBe(format);
    expect(formatByName('int4')).toEqual(int4());
    expect(formatByName('fp8')).toEqual(fp8());
  });

  it('are frozen values', () => {
    expect(Object.isFrozen(nvfp4())).toBe(true);
    expect(nvfp4()).toEqual(nvfp4());
    expect(mxfp4({ scale: 'rceil' })).toEqual({
      kind: 'mxfp4',
      name: 'mxfp4-rceil',
      element: 'e2m1',
      scaleDType: 'f8e8m0',
      rule: 'rceil',
      groupRows: 1,
      groupCols: 32,
      zeroPoint: false,
    });
  });

  it('count their bits', () => {
    expect(bitsPerElement(mxfp4(), 128, 4096)).toBe(4.25);
    expect(bitsPerElement(nvfp4(), 128, 4096)).toBe(4.5 + 32 / (128 * 4096));
    expect(bitsPerElement(mxfp8(), 128, 4096)).toBe(8.25);
    expect(bitsPerElement(int4({ group: 32 }), 1, 4096)).toBe(5);
    expect(bitsPerElement(int4({ zeroPoint: true }), 1, 4096)).toBe(4 + 40 / 128);
    expect(bitsPerElement(int4({ scale: 'bf16' }), 1, 4096)).toBe(4.125);
    expect(bitsPerElement(nf4(), 1, 4096)).toBe(4.5);
    expect(bitsPerElement(fp8({ granularity: 'tensor' }), 4, 8)).toBe(9);
  });

  it('know the extent of their scales', () => {
    expect(scaleShape(nvfp4(), 5, 64)).toEqual([5, 4]);
    expect(scaleShape(fp8({ granularity: '128x128' }), 130, 256)).toEqual([2, 2]);
    expect(scaleShape(int8({ granularity: 'tensor' }), 130, 256)).toEqual([1, 1]);
  });

  it('pad K to the group, to packing and to the rotation', () => {
    expect(paddedCols(mxfp4(), 33)).toBe(64);
    expect(paddedCols(int4({ group: 'row' }), 7)).toBe(8);
    expect(paddedCols(int8(), 7)).toBe(7);
    expect(paddedCols(nvfp4(), 48, 32)).toBe(64);
    expect(paddedCols(fp8(), 100, 24)).toBe(120);
  });

  it('refuse names and options that do not exist', () => {
    expect(() => formatByName('int3')).toThrow(/^format: expected one of int8-row, .*, got "int3"$/);
    expect(() => formatByName('__proto__')).toThrow(/^format: expected one of /);
    expect(() => int4({ group: 48 as 32 })).toThrow('group: expected 32 or 64 or 128 or row, got 48');
    expect(() => mxfp4({ scale: 'ceil' as 'floor' })).toThrow(
      'scale: expected floor or rceil or abs_max or quest, got ceil',
    );
  });
});
