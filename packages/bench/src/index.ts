// Measurements and reports of qutlass as functions; the command qutlass-bench is made of them.

export { isErrorOff, isLossOff } from './accuracy/check.js';
export { type ErrorTableOptions, measureErrors } from './accuracy/quantization-error.js';
export { type Comparison, type ComparisonReport, compareResults, type Metric } from './compare.js';
export { type DecodeOptions, type Head, measureDecode } from './decode/measure.js';
export { createRandomLlama, type RandomModelOptions } from './decode/random-model.js';
export { type GemmOptions, measureGemm } from './gemm/measure.js';
export { type Operands, parseOperands } from './gemm/operands.js';
export { parseShapes, type Shape } from './gemm/shapes.js';
export { type HostOptions, measureHost } from './host/measure.js';
export { type LayerOptions, measureLayers } from './layer/measure.js';
export { measureLimits } from './limits.js';
export { type ModelTable, type ModelTableOptions, measureModel } from './model/table.js';
export { parseVariant, type Variant } from './model/variants.js';
export { layerMatrices, type MatrixExtents, MODEL_NAMES, modelConfig } from './models.js';
export { measurePeers, type PeerOptions } from './peers/measure.js';
export { PeerPackages } from './peers/peer.js';
export type { Progress } from './progress.js';
export {
  measureQuantizers,
  parseQuantizeShapes,
  type QuantizeOptions,
  type QuantizeShape,
} from './quantize/measure.js';
export { renderReport } from './report/report.js';
export { gpuState } from './results/gpu.js';
export { formatResults, parseResults, readResults, writeResults } from './results/io.js';
export { runInfo } from './results/run-info.js';
export { resultsSchema } from './results/schema.js';
export type {
  AccuracyResults,
  DecodeResults,
  DecodeRow,
  DecodeStepItems,
  DemoResults,
  ErrorRow,
  EvaluatedModel,
  ExpertsResults,
  ExpertsRow,
  GemmResults,
  GemmRow,
  Gpu,
  GpuState,
  HostResults,
  HostRow,
  LayerResults,
  LayerRow,
  Limits,
  Machine,
  MadeInput,
  ModelRow,
  PeerResults,
  PeerRow,
  QuantizeResults,
  QuantizeRow,
  Results,
  RunInfo,
  TextSample,
  TimedResults,
  TimedRun,
  TimingSettings,
  TrainingWay,
} from './results/types.js';
export type { Spread } from './statistics.js';
export {
  type Clock,
  type Contender,
  clockOf,
  enqueueClock,
  hostClock,
  type Sample,
} from './timing/clock.js';
export { type Sampled, type SamplingOptions, sampleInterleaved } from './timing/sampling.js';
export type { TimingOptions } from './timing/settings.js';
