import { Device } from '@qutlass/core-kernels';
import { describe, expect, it } from 'vitest';
import { defaultOperands, operandName, parseOperands } from './operands.js';
import { parseShapes, shapeName, shapesOf } from './shapes.js';

describe('parseShapes', () => {
  it('reads one shape and several', () => {
    expect(parseShapes('1,2,3')).toEqual([{ m: 1, n: 2, k: 3 }]);
    expect(parseShapes('1,2,3; 4, 5 ,6')).toEqual([
      { m: 1, n: 2, k: 3 },
      { m: 4, n: 5, k: 6 },
    ]);
  });

  it.each(['', '1,2', '1,2,3,4', '1,2,x', '1,-2,3', '0,2,3', '1.5,2,3', '1,2,3;'])('refuses %j', (text) => {
    expect(() => parseShapes(text)).toThrow('--shapes: expected M,N,K;M,N,K;... as in');
  });
});

describe('shapesOf', () => {
  const device = Device.open('cpu');
  const names = (options: Omit<Parameters<typeof shapesOf>[0], 'device'>) =>
    shapesOf({ ...options, device }).map(shapeName);

  it('has the layers of models', () => {
    expect(names({ model: 'llama-3-8b', m: '1, 16' })).toEqual([
      ...['1 x 6144 x 4096', '16 x 6144 x 4096', '1 x 4096 x 4096', '16 x 4096 x 4096'],
      ...['1 x 28672 x 4096', '16 x 28672 x 4096', '1 x 4096 x 14336', '16 x 4096 x 14336'],
    ]);
  });

  it('replaces the rows of the default shapes', () => {
    expect(names({ quick: true, m: '3' })).toEqual(['3 x 512 x 512']);
    expect(names({ m: '2,4' })).toEqual([
      ...['2 x 4096 x 4096', '4 x 4096 x 4096', '2 x 11008 x 4096', '4 x 11008 x 4096'],
    ]);
  });

  it('has each shape once, odd ones too, with full', () => {
    const all = names({ full: true });
    expect(new Set(all).size).toBe(all.length);
    expect(all).toEqual(
      expect.arrayContaining(['8192 x 2880 x 7680', '1 x 57344 x 8192', '64 x 5120 x 25600']),
    );
  });

  it('refuses unknown models and rows that are no numbers', () => {
    expect(() => names({ model: 'llama' })).toThrow('expected one of tiny, llama-2-7b, ');
    expect(() => names({ m: '1,x' })).toThrow("--m: expected numbers of rows as in '1,16,512', got 1,x");
  });
});

describe('parseOperands', () => {
  const names = (text: string) => {
    const { a, weight } = parseOperands(text, 'f32');
    return [operandName(a), operandName(weight)];
  };

  it('reads weights and pairs', () => {
    expect(names('bf16')).toEqual(['f32', 'bf16']);
    expect(names('nvfp4')).toEqual(['f32', 'nvfp4']);
    expect(names(' int8-row:int4-g128 ')).toEqual(['int8-row', 'int4-g128']);
  });

  it('takes dense activations in what the device computes in', () => {
    const { a, weight } = parseOperands('nvfp4', 'bf16');
    expect([operandName(a), operandName(weight)]).toEqual(['bf16', 'nvfp4']);
    expect(defaultOperands('bf16').map(({ weight }) => operandName(weight))).not.toContain('f32');
    expect(defaultOperands('f32').map(({ a }) => operandName(a))).not.toContain('bf16');
  });

  it('refuses unknown formats and pairs that do not multiply', () => {
    expect(() => parseOperands('fp3', 'f32')).toThrow(expect.objectContaining({ code: 'QUTLASS_E_FORMAT' }));
    expect(() => parseOperands('f32:bf16', 'f32')).toThrow(
      expect.objectContaining({ code: 'QUTLASS_E_FORMAT' }),
    );
    expect(() => parseOperands('nvfp4:mxfp4', 'f32')).toThrow(
      '--formats: expected a weight that nvfp4 multiplies with: nvfp4, got mxfp4',
    );
    expect(() => parseOperands('nf4:nf4', 'f32')).toThrow('multiplies with: none');
  });
});
