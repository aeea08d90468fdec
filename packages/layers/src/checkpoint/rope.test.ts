import { describe, expect, it } from 'vitest';
import { type RopeScaling, ropeInverseFrequencies } from './rope.js';

const llama3 = (factor: number): RopeScaling => ({
  type: 'llama3',
  factor,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalMaxPositionEmbeddings: 8192,
});

describe('ropeInverseFrequencies', () => {
  it('is theta^(-2i / headDim)', () => {
    const frequencies = ropeInverseFrequencies({
      headDim: 8,
      ropeTheta: 10_000,
      ropeScaling: { type: 'default' },
    });
    expect(frequencies).toEqual(Float32Array.of(1, 0.1, 0.01, 0.001));
  });

  it('divides all frequencies by the linear factor', () => {
    const frequencies = ropeInverseFrequencies({
      headDim: 8,
      ropeTheta: 10_000,
      ropeScaling: { type: 'linear', factor: 4 },
    });
    expect(frequencies).toEqual(Float32Array.of(0.25, 0.025, 0.0025, 0.00025));
  });

  // Values of Hugging Face's _compute_llama3_parameters in float64 with NumPy: unchanged, blended and divided ones.
  it.each([
    [
      'Llama 3.1 8B',
      128,
      8,
      {
        0: 1,
        1: 0.8146172338565447,
        27: 0.003942276030116656,
        28: 0.0032114459947525913,
        29: 0.002166570763503359,
        32: 0.0005248461609929547,
        34: 0.00017850781276799638,
        35: 9.556212353964683e-5,
        36: 7.78465527393245e-5,
        63: 3.068925988914511e-7,
      },
    ],
    [
      'Llama 3.2 1B',
      64,
      32,
      {
        0: 1,
        13: 0.004839421345719893,
        14: 0.0032114459947525913,
        15: 0.001290547928209264,
        16: 0.00042955679655936815,
        17: 9.70828780262767e-5,
        18: 1.9461638184831125e-5,
        31: 9.418306725434909e-8,
      },
    ],
  ])('follows the scaling of %s', (_model, headDim, factor, expected) => {
    const frequencies = ropeInverseFrequencies({ headDim, ropeTheta: 500_000, ropeScaling: llama3(factor) });
    expect(frequencies).toHaveLength(headDim / 2);
    for (const [index, value] of Object.entries(expected)) {
      // One rounding to float32: half a unit in the last place.
      expect(Math.abs((frequencies[Number(index)] as number) / value - 1)).toBeLessThanOrEqual(2 ** -24);
    }
  });

  it('blends without a jump at both ends', () => {
    const frequencies = ropeInverseFrequencies({ headDim: 4096, ropeTheta: 500_000, ropeScaling: llama3(8) });
    for (let i = 1; i < frequencies.length; i += 1) {
      const ratio = (frequencies[i] as number) / (frequencies[i - 1] as number);
      expect(ratio).toBeLessThan(1);
      expect(ratio).toBeGreaterThan(0.97);
    }
  });
});
