/** How the frequencies of the rotary embedding are changed to reach beyond the context length of the training. */
export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositionEmbeddings: number;
    };

export interface RopeConfig {
  /** Even. */
  readonly headDim: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
}

/**
 * The `headDim / 2` inverse frequencies of the rotary embedding, in radians per position: theta^(-2i / headDim), scaled
 * as the checkpoint says. Computed in float64 and rounded once.
 *
 * Sources: RoFormer (arXiv:2104.09864), position interpolation (arXiv:2306.15595), and, for `llama3`, the reference code
 * of Llama 3.1: wavelengths shorter than original / highFreqFactor stay, those longer than original / lowFreqFactor are
 * divided by `factor`, and between the two the share of each is linear in original / wavelength.
 */
export function ropeInverseFrequencies({ headDim, ropeTheta, ropeScaling }: RopeConfig): Float32Array {
  return Float32Array.from({ length: headDim / 2 }, (_, i) =>
    scaleFrequency(ropeTheta ** ((-2 * i) / headDim), ropeScaling),
  );
}

function scaleFrequency(frequency: number, scaling: RopeScaling): number {
  switch (scaling.type) {
    case 'default':
      return frequency;
    case 'linear':
      return frequency / scaling.factor;
    case 'llama3': {
      const rotations = (scaling.originalMaxPositionEmbeddings * frequency) / (2 * Math.PI);
      const { lowFreqFactor: low, highFreqFactor: high } = scaling;
      const kept = Math.min(Math.max((rotations - low) / (high - low), 0), 1);
      return kept * frequency + ((1 - kept) * frequency) / scaling.factor;
    }
  }
}
