import { expect, it } from 'vitest';
import { layerMatrices, MODEL_NAMES, modelConfig } from './models.js';

/** Parameters of all matrices, embedding and head. */
function parameters(name: string): number {
  const { numLayers, vocabSize, hiddenSize } = modelConfig(name);
  const layer = layerMatrices(name).reduce((sum, { n, k }) => sum + n * k, 0);
  return numLayers * layer + 2 * vocabSize * hiddenSize;
}

it.each([
  // As published, in units of 1e9; norms are left out here.
  ['llama-2-7b', 6.74],
  ['llama-3-8b', 8.03],
  ['llama-3-70b', 70.6],
  ['qwen3-32b', 32.8],
])('%s has the number of parameters that its makers say', (name, billions) => {
  expect(parameters(name) / 1e9).toBeCloseTo(billions, billions < 10 ? 2 : 1);
});

it('can have fewer layers', () => {
  expect(modelConfig('llama-3-8b', 2)).toEqual({ ...modelConfig('llama-3-8b'), numLayers: 2 });
});

it('refuses what it does not know', () => {
  expect(() => modelConfig('toString')).toThrow(`expected one of ${MODEL_NAMES.join(', ')}, got "toString"`);
});
