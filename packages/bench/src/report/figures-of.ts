import type { Results } from '../results/types.js';
import type { Figure } from './figure.js';
import { decodeFigures } from './plots/decode-plot.js';
import { errorFigure } from './plots/error-plot.js';
import { expertsFigures } from './plots/experts-plot.js';
import { gemmFigures } from './plots/gemm-plot.js';
import { hostFigures } from './plots/host-plot.js';
import { layerFigures } from './plots/layer-plot.js';
import { modelFigures } from './plots/model-plots.js';
import { peerFigures } from './plots/peer-plot.js';
import { quantizeFigures } from './plots/quantize-plot.js';

/** All figures of a results file. */
export function figuresOf(results: Results): readonly Figure[] {
  switch (results.suite) {
    case 'demo':
      return modelFigures(results.rows);
    case 'accuracy':
      return [...modelFigures(results.rows), errorFigure(results)];
    case 'gemm':
      return gemmFigures(results);
    case 'quantize':
      return quantizeFigures(results);
    case 'layer':
      return layerFigures(results);
    case 'experts':
      return expertsFigures(results);
    case 'decode':
      return decodeFigures(results);
    case 'host':
      return hostFigures(results);
    case 'peers-cpu':
      return peerFigures(results);
  }
}
