import { copyRows, type FloatDType, invalidArgument, Tensor } from '@qutlass/core-kernels';
import {
  FORMATS,
  type Format,
  formatByName,
  globalScale,
  hadamard,
  hasGlobalScale,
  quantize,
  type Rotation,
} from '@qutlass/quant';
import type { Limits, QuantizeRow } from '../results/types.js';
import type { Contender } from '../timing/clock.js';
import { type CacheState, Copies } from '../timing/copies.js';
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
    const [, m, k] = /^\s*(\d+)\s*,\s*(\d+)\s*$/.exec(part) ?? [];
    if (!Number(m) || !Number(k)) {
      throw invalidArgument('QUTLASS_E_ARGUMENT', '--shapes', "M,K;M,K;... as in '1,4096;4096,8192'", part);
    }
    return { m: Number(m), k: Number(k) };
  });
}

/**
 * Times the quantizers of bf16 matrices, without a rotation and with a Hadamard of the format's group, against copying the
 * same matrix in the same rounds.
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
    using inputs = Copies.make(device, create);
    using target = create();
    for (const format of formats) {
      pace.step(`${m} x ${k} ${format.name}`);
      rows.push(...(await measureFormat(format, inputs, target, options)));
    }
  }
  return rows;
}

/** A way to use a quantizer. */
interface Candidate extends Contender {
  readonly rotation: Rotation | undefined;
  readonly globalScale: QuantizeRow['globalScale'];
  readonly bytes: number;
}

async function measureFormat(
  format: Format,
  inputs: Copies<Tensor<FloatDType>>,
  target: Tensor<FloatDType>,
  options: QuantizeOptions,
): Promise<QuantizeRow[]> {
  const [m = 1, k = 1] = target.shape;
  const cache: CacheState = m <= FEW_ROWS ? 'hot' : 'cold';
  const period = inputs.period(cache);
  const copy: Contender = { enqueue: (call) => copyRows(inputs.at(cache, call), target, 0), period };
  const scale = hasGlobalScale(format) ? globalScale(inputs.at(cache, 0), format) : undefined;
  const candidates = rotationsFor(format).flatMap((rotation) =>
    (scale ? [undefined, scale] : [undefined]).map((given): Candidate => {
      const settings = { ...(rotation && { rotation }), ...(given && { globalScale: given }) };
      using once = quantize(inputs.at(cache, 0), format, settings);
      return {
        rotation,
        globalScale: scale ? (given ? 'given' : 'found') : null,
        bytes: target.byteLength + once.byteLength,
        enqueue: (call) => quantize(inputs.at(cache, call), format, settings).dispose(),
        period,
      };
    }),
  );
  try {
    const sampled = await sampleInterleaved([copy, ...candidates], samplingOf(options));
    return candidates.map(({ rotation, globalScale, bytes }, index): QuantizeRow => {
      const { seconds, speedup } = sampled[index + 1]!;
      const rate = bytes / seconds.median;
      return {
        ...{ m, k, dtype: INPUT, format: format.name },
        rotation: rotation?.toString() ?? null,
        ...{ globalScale, cache, bytes, seconds },
        gigabytesPerSecond: rate / 1e9,
        copyFraction: rate / options.limits.copyBandwidth.median,
        speedup,
      };
    });
  } finally {
    scale?.dispose();
  }
}

/** None, and the Hadamard of the group, or of 128 where a scale holds for a whole row or more. */
function rotationsFor({ groupCols }: Format): (Rotation | undefined)[] {
  return [undefined, hadamard(groupCols === 'all' ? 128 : groupCols)];
}
