import { copyRows, type FloatDType, rmsNorm, siluMul, Tensor, transpose } from '@qutlass/core-kernels';
import {
  FORMATS,
  type Format,
  formatByName,
  globalScale,
  hadamard,
  hasGlobalScale,
  type MxFp8,
  type QuantizedTensor,
  quantize,
  quantizeSquares,
  quantizeTransposed,
  type Rotation,
  rmsNormQuantize,
  siluMulQuantize,
  stochastic,
} from '@qutlass/quant';
import { parseExtents } from '../cli/extents.js';
import type { Limits, MadeInput, QuantizeRow, TrainingWay } from '../results/types.js';
import type { Contender } from '../timing/clock.js';
import { type CacheState, type Copied, Copies } from '../timing/copies.js';
import { Pace } from '../timing/pace.js';
import { sampleInterleaved } from '../timing/sampling.js';
import { samplingOf, type TimingOptions } from '../timing/settings.js';

/** A matrix [M, K] of activations or a weight. */
export interface QuantizeShape {
  readonly m: number;
  readonly k: number;
}

/** Activations of one token and of a batch, a prompt, a weight of 64 MiB and more. */
const GPU_SHAPES = parseQuantizeShapes('1,4096;16,4096;1,8192;16,8192;512,8192;4096,8192;8192,16384');
const CPU_SHAPES = parseQuantizeShapes('1,4096;16,4096;512,4096');
const QUICK_SHAPES = { cpu: parseQuantizeShapes('16,1024'), cuda: parseQuantizeShapes('16,4096;4096,8192') };

/** One of each kind. */
const SELECTION = ['int8-row', 'fp8-row', 'mxfp8', 'int4-g128', 'nf4', 'nvfp4', 'mxfp4'].map(formatByName);

/** Rows up to which a matrix counts as activations that the layer before has just written: found in the cache. */
const FEW_ROWS = 16;

const INPUT: FloatDType = 'bf16';

/** Of RMSNorm. */
const EPSILON = 1e-5;

export interface QuantizeOptions extends TimingOptions {
  limits: Limits;
  /** Default: activations and weights of a large model. */
  shapes?: readonly QuantizeShape[] | undefined;
  /** Default: all on a GPU, else one of each kind. */
  formats?: readonly Format[] | undefined;
}

/** `M,K;M,K` @throws QutlassError `QUTLASS_E_ARGUMENT` */
export function parseQuantizeShapes(text: string): QuantizeShape[] {
  return text.split(';').map((part) => {
    const expected = "M,K;M,K;... as in '1,4096;4096,8192'";
    const [m, k] = parseExtents(part, '--shapes', expected, 2) as [number, number];
    return { m, k };
  });
}

/**
 * Times the quantizers of bf16 matrices, without a rotation and with a Hadamard of the format's group, against copying the
 * same matrix in the same rounds. Without a rotation also what makes a matrix together with its quantizer: RMSNorm and
 * silu(gate) * up, fused with it and called before it. And what training adds: stochastic rounding, transposes, squares.
 * @throws QutlassError `QUTLASS_E_SHAPE` if K does not fit a format
 */
export async function measureQuantizers(options: QuantizeOptions): Promise<QuantizeRow[]> {
  const { device, quick } = options;
  const shapes =
    options.shapes ?? (quick ? QUICK_SHAPES[device.kind] : device.kind === 'cpu' ? CPU_SHAPES : GPU_SHAPES);
  const formats = options.formats ?? (quick || device.kind === 'cpu' ? SELECTION : FORMATS);
  const rows: QuantizeRow[] = [];
  const pace = new Pace(options.progress, shapes.length * formats.length);
  for (const { m, k } of shapes) {
    const create = () => Tensor.random([m, k], { dtype: INPUT, device, seed: 1 });
    const matrices: Matrices = {
      x: Copies.make(device, create),
      up: Copies.make(device, create),
      gain: Tensor.random([k], { dtype: INPUT, device, seed: 2 }),
      target: create(),
    };
    try {
      for (const format of formats) {
        pace.step(`${m} x ${k} ${format.name}`);
        rows.push(...(await measureFormat(format, matrices, options)));
      }
    } finally {
      for (const each of Object.values(matrices)) each.dispose();
    }
  }
  return rows;
}

/** What is read and, of a copy, written: [M, K], but the gain of a norm, which is [K]. */
interface Matrices {
  readonly x: Copies<Tensor<FloatDType>>;
  readonly up: Copies<Tensor<FloatDType>>;
  readonly gain: Tensor<FloatDType>;
  readonly target: Tensor<FloatDType>;
}

/** A way to use a quantizer. */
interface Candidate extends Contender {
  readonly rotation: Rotation | undefined;
  readonly globalScale: QuantizeRow['globalScale'];
  readonly made: MadeInput | null;
  readonly training: TrainingWay | null;
  readonly bytes: number;
}

async function measureFormat(
  format: Format,
  matrices: Matrices,
  options: QuantizeOptions,
): Promise<QuantizeRow[]> {
  const { x, target } = matrices;
  const [m = 1, k = 1] = target.shape;
  const cache: CacheState = m <= FEW_ROWS ? 'hot' : 'cold';
  const period = x.period(cache);
  const copy: Contender = { enqueue: (call) => copyRows(x.at(cache, call), target, 0), period };
  const scale = hasGlobalScale(format) ? globalScale(x.at(cache, 0), format) : undefined;
  const found = scale ? 'found' : null;
  const stored = rotationsFor(format).flatMap((rotation) =>
    (scale ? [undefined, scale] : [undefined]).map((given): Candidate => {
      const settings = { ...(rotation && { rotation }), ...(given && { globalScale: given }) };
      using once = quantize(x.at(cache, 0), format, settings);
      return {
        ...{ rotation, globalScale: given ? 'given' : found, made: null, training: null },
        bytes: target.byteLength + once.byteLength,
        enqueue: (call) => quantize(x.at(cache, call), format, settings).dispose(),
        period,
      };
    }),
  );
  const made = madeInputs(format, matrices, cache).map(({ made, inputBytes, quantized }): Candidate => {
    using once = quantized(0);
    return {
      ...{ rotation: undefined, globalScale: found, made, training: null },
      bytes: inputBytes + once.byteLength,
      enqueue: (call) => quantized(call).dispose(),
      period,
    };
  });
  const sources = fitsTransposed(format, m)
    ? Copies.make(options.device, () => quantize(x.at(cache, 0), format))
    : undefined;
  const trained = trainingWays(format, matrices, sources, cache).map(
    ({ training, rotation, inputBytes, period, quantized }): Candidate => {
      using once = quantized(0);
      return {
        ...{ rotation, globalScale: found, made: null, training },
        bytes: inputBytes + once.byteLength,
        enqueue: (call) => quantized(call).dispose(),
        period,
      };
    },
  );
  const candidates = [...stored, ...made, ...trained];
  try {
    const sampled = await sampleInterleaved([copy, ...candidates], samplingOf(options));
    return candidates.map(({ rotation, globalScale, made, training, bytes }, index): QuantizeRow => {
      const { seconds, speedup } = sampled[index + 1]!;
      const rate = bytes / seconds.median;
      return {
        ...{ m, k, dtype: INPUT, format: format.name },
        rotation: rotation?.toString() ?? null,
        ...{ globalScale, made, training, cache, bytes, seconds },
        gigabytesPerSecond: rate / 1e9,
        copyFraction: rate / options.limits.copyBandwidth.median,
        speedup,
      };
    });
  } finally {
    scale?.dispose();
    sources?.dispose();
  }
}

/** The operations that make a matrix and quantize it, fused and one after the other. */
function madeInputs(format: Format, { x, up, gain, target }: Matrices, cache: CacheState) {
  const then = (input: Tensor<FloatDType>): QuantizedTensor<Format> => {
    using made = input;
    return quantize(made, format);
  };
  const way = (
    by: MadeInput['by'],
    fused: boolean,
    inputBytes: number,
    quantized: (call: number) => QuantizedTensor<Format>,
  ) => ({ made: { by, fused }, inputBytes, quantized });
  const normBytes = target.byteLength + gain.byteLength;
  const gateBytes = 2 * target.byteLength;
  const xOf = (call: number) => x.at(cache, call);
  const upOf = (call: number) => up.at(cache, call);
  return [
    way('rmsNorm', true, normBytes, (call) => rmsNormQuantize(xOf(call), gain, EPSILON, format)),
    way('rmsNorm', false, normBytes, (call) => then(rmsNorm(xOf(call), gain, EPSILON))),
    way('siluMul', true, gateBytes, (call) => siluMulQuantize(xOf(call), upOf(call), format)),
    way('siluMul', false, gateBytes, (call) => then(siluMul(xOf(call), upOf(call)))),
  ];
}

interface Trained {
  readonly training: TrainingWay;
  readonly rotation: Rotation | undefined;
  readonly inputBytes: number;
  readonly period: number;
  readonly quantized: (call: number) => Copied;
}

/** What training adds, where the extents of the matrix fit the format. sources: in the format before. */
function trainingWays(
  format: Format,
  { x, target }: Matrices,
  sources: Copies<QuantizedTensor<Format>> | undefined,
  cache: CacheState,
): Trained[] {
  const xOf = (call: number) => x.at(cache, call);
  const of = (
    training: TrainingWay,
    quantized: Trained['quantized'],
    more: Partial<Trained> = {},
  ): Trained => ({
    ...{ training, rotation: undefined, quantized, inputBytes: target.byteLength, period: x.period(cache) },
    ...more,
  });
  const rounding = stochastic({ seed: 1 });
  const ways = [of('stochastic', (call) => quantize(xOf(call), format, { rounding }))];
  if (!sources) return ways;
  for (const rotation of rotationsFor(format)) {
    const options = rotation ? { rotation } : {};
    ways.push(of('transposed', (call) => quantizeTransposed(xOf(call), format, options), { rotation }));
  }
  const twice = (call: number) => {
    using copy = transpose(xOf(call));
    return quantize(copy, format);
  };
  ways.push(
    of('transposed in two calls', twice),
    of('requantized', (call) => quantizeTransposed(sources.at(cache, call), format), {
      inputBytes: sources.bytesEach,
      period: sources.period(cache),
    }),
  );
  if (isMxFp8(format)) ways.push(of('squares', (call) => quantizeSquares(xOf(call), format)));
  return ways;
}

const isMxFp8 = (format: Format): format is MxFp8 => format.kind === 'mxfp8';

/** Whether the columns of a matrix with so many rows are in groups of the format, which are not whole columns. */
const fitsTransposed = ({ groupCols }: Format, rows: number) => groupCols !== 'all' && rows % groupCols === 0;

/** None, and the Hadamard of the group, or of 128 where a scale holds for a whole row or more. */
function rotationsFor({ groupCols }: Format): (Rotation | undefined)[] {
  return [undefined, hadamard(groupCols === 'all' ? 128 : groupCols)];
}
