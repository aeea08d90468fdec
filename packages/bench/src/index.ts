// Measurements and reports of qutlass as functions; the command qutlass-bench is made of them.

export { isErrorOff, isLossOff } from './accuracy/check.js';
export { type ErrorTableOptions, measureErrors } from './accuracy/quantization-error.js';
export { type Comparison, type ComparisonReport, compareResults, type Metric } from './compare.js';
export { type GemmOptions, measureGemm } from './gemm/measure.js';
export { type Operands, parseOperands } from './gemm/operands.js';
export { parseShapes, type Shape } from './gemm/shapes.js';
export { type ModelTable, type ModelTableOptions, measureModel } from './model/table.js';
export type { Progress } from './progress.js';
export { renderReport } from './report/report.js';
export { formatResults, parseResults, readResults, writeResults } from './results/io.js';
export { runInfo } from './results/run-info.js';
export { resultsSchema } from './results/schema.js';
export type {
  AccuracyResults,
  DemoResults,
  ErrorRow,
  EvaluatedModel,
  GemmResults,
  GemmRow,
  GemmSettings,
  Machine,
  ModelRow,
  Results,
  RunInfo,
  TextSample,
} from './results/types.js';
export type { Spread } from './statistics.js';
