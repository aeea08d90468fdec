import { describe, expect, it } from 'vitest';
import { operandName, parseOperands } from './operands.js';
import { parseShapes } from './shapes.js';

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

describe('parseOperands', () => {
  const names = (text: string) => {
    const { a, weight } = parseOperands(text);
    return [operandName(a), operandName(weight)];
  };

  it('reads weights and pairs', () => {
    expect(names('bf16')).toEqual(['f32', 'bf16']);
    expect(names('nvfp4')).toEqual(['f32', 'nvfp4']);
    expect(names(' int8-row:int4-g128 ')).toEqual(['int8-row', 'int4-g128']);
  });

  it('refuses unknown formats and pairs that do not multiply', () => {
    expect(() => parseOperands('fp3')).toThrow(expect.objectContaining({ code: 'QUTLASS_E_FORMAT' }));
    expect(() => parseOperands('f32:bf16')).toThrow(expect.objectContaining({ code: 'QUTLASS_E_FORMAT' }));
    expect(() => parseOperands('nvfp4:mxfp4')).toThrow(
      '--formats: expected a weight that nvfp4 multiplies with: nvfp4, got mxfp4',
    );
    expect(() => parseOperands('nf4:nf4')).toThrow('multiplies with: none');
  });
});
