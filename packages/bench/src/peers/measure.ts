import { Device, Tensor } from '@qutlass/core-kernels';
import { type Accuracy, explain, matmul, type PreparedWeight, prepare } from '@qutlass/gemm';
import { formatByName, quantize } from '@qutlass/quant';
import { type Shape, shapeName } from '../gemm/shapes.js';
import type { Progress } from '../progress.js';
import type { PeerRow } from '../results/types.js';
import { inverse } from '../statistics.js';
import { type CacheState, cacheBytesOf } from '../timing/copies.js';
import { Pace } from '../timing/pace.js';
import { type SamplingOptions, sampleInterleaved } from '../timing/sampling.js';
import { peerClock } from './clock.js';
import { FOREIGN_FUNCTIONS, GGML_PACKAGE, GGML_TYPES, Ggml, ggmlContender } from './ggml.js';
import { ONNX_PRODUCTS, onnxContender, RUNTIME_PACKAGE } from './onnxruntime.js';
import type { PeerContender, PeerPackages } from './peer.js';

/** A weight of ours and what other libraries have in its place. */
interface Comparison {
  /** A format, or f32. */
  readonly weight: string;
  readonly accuracy: Accuracy;
  readonly onnx: readonly (keyof typeof ONNX_PRODUCTS)[];
  readonly ggml: readonly (keyof typeof GGML_TYPES)[];
}

/** ggml rounds activations to 8 bits in blocks of 32 for all of its types but f32. */
const COMPARISONS: readonly Comparison[] = [
  { weight: 'mxfp4', accuracy: 'int8', onnx: [], ggml: ['mxfp4', 'mxfp4 repacked'] },
  { weight: 'nvfp4', accuracy: 'int8', onnx: [], ggml: ['nvfp4'] },
  {
    weight: 'int4-g32-f16',
    accuracy: 'int8',
    onnx: ['MatMulNBits block 32, accuracy_level 4'],
    ggml: ['q4_0', 'q4_0 repacked'],
  },
  {
    weight: 'int4-g128-f16',
    accuracy: 'int8',
    onnx: ['MatMulNBits block 128, accuracy_level 4'],
    ggml: ['q4_0 repacked'],
  },
  { weight: 'int8-row', accuracy: 'int8', onnx: ['DynamicQuantizeMatMul'], ggml: ['q8_0'] },
  {
    weight: 'int4-g32-f16',
    accuracy: 'exact',
    onnx: ['MatMulNBits block 32, accuracy_level 0'],
    ggml: [],
  },
  {
    weight: 'int4-g128-f16',
    accuracy: 'exact',
    onnx: ['MatMulNBits block 128, accuracy_level 0'],
    ggml: [],
  },
  { weight: 'f32', accuracy: 'exact', onnx: ['MatMul'], ggml: ['f32'] },
];

/** What has to be installed where {@link PeerPackages} looks. */
export const PEER_PACKAGES = [RUNTIME_PACKAGE, GGML_PACKAGE, FOREIGN_FUNCTIONS] as const;

/** The bytes of cold copies together, in sizes of the last cache. */
const CACHE_FACTOR = 3;

export interface PeerOptions {
  packages: PeerPackages;
  shapes: readonly Shape[];
  /** Numbers of threads of the kernels. */
  threads: readonly number[];
  /** Only comparisons of these weights; default: all. */
  weights?: readonly string[] | undefined;
  quick: boolean;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** How {@link measurePeers} samples. */
export function peerSampling({ quick, signal }: Pick<PeerOptions, 'quick' | 'signal'>): SamplingOptions {
  return { clock: peerClock(), rounds: quick ? 5 : 15, sampleSeconds: quick ? 0.005 : 0.05, signal };
}

/**
 * Times products of float32 activations and weights of every kind beside those of ONNX Runtime and ggml in the same process,
 * in turns. Single rows are measured with weights in the cache and outside of it, more of them with one weight, which takes
 * so long that it hardly matters where it is.
 */
export async function measurePeers(options: PeerOptions): Promise<PeerRow[]> {
  const { shapes, threads, weights } = options;
  const ggml = new Ggml(options.packages);
  const chosen = COMPARISONS.filter(({ weight }) => weights?.includes(weight) ?? true);
  const cases = threads.flatMap((count) =>
    chosen.flatMap((comparison) =>
      shapes.flatMap((shape) =>
        (shape.m === 1 ? (['hot', 'cold'] as const) : (['hot'] as const)).map((cache) => ({
          ...{ count, comparison, shape, cache },
        })),
      ),
    ),
  );
  const pace = new Pace(options.progress, cases.length);
  const devices = new Map(threads.map((count) => [count, Device.open('cpu', { threads: count })]));
  const rows: PeerRow[] = [];
  for (const { count, comparison, shape, cache } of cases) {
    const threadsText = `${count} thread${count === 1 ? '' : 's'}`;
    pace.step(`${shapeName(shape)} ${comparison.weight}, ${comparison.accuracy}, ${cache}, ${threadsText}`);
    rows.push(...(await compare(devices.get(count)!, ggml, comparison, shape, cache, options)));
  }
  return rows;
}

async function compare(
  device: Device,
  ggml: Ggml,
  { weight, accuracy, onnx, ggml: types }: Comparison,
  shape: Shape,
  cache: CacheState,
  options: PeerOptions,
): Promise<PeerRow[]> {
  const { threads } = device.info;
  const own = ownContender(device, weight, accuracy, shape, cache);
  const { copies, weightBytes, kernel } = own;
  const setting = { copies, threads };
  const contenders: PeerContender[] = [own];
  const peers: Pick<PeerRow, 'peer' | 'peerPackage'>[] = [];
  const name = (peer: string, from: string) =>
    peers.push({ peer, peerPackage: `${from} ${options.packages.version(from)}` });
  try {
    for (const product of onnx) {
      contenders.push(await onnxContender(options.packages, ONNX_PRODUCTS[product], shape, setting));
      name(`ONNX Runtime ${product}`, RUNTIME_PACKAGE);
    }
    for (const type of types) {
      contenders.push(ggmlContender(ggml, GGML_TYPES[type], shape, setting));
      name(`ggml ${type}`, GGML_PACKAGE);
    }
    const [ours, ...theirs] = await sampleInterleaved(contenders, peerSampling(options));
    return theirs.map(({ seconds, speedup }, index) => ({
      ...{ m: shape.m, n: shape.n, k: shape.k, threads, cache, weight, accuracy, kernel, weightBytes },
      seconds: ours!.seconds,
      ...peers[index]!,
      peerSeconds: seconds,
      speedup: inverse(speedup),
    }));
  } finally {
    for (const contender of contenders) await contender[Symbol.asyncDispose]();
  }
}

/** A product of ours, cold or hot. */
function ownContender(
  device: Device,
  weight: string,
  accuracy: Accuracy,
  { m, n, k }: Shape,
  cache: CacheState,
) {
  const x = Tensor.random([m, k], { dtype: 'f32', device, seed: 1 });
  const make = (): Tensor<'f32'> | PreparedWeight => {
    const dense = Tensor.random([n, k], { dtype: 'f32', device, seed: 2 });
    if (weight === 'f32') return dense;
    using quantized = quantize(dense, formatByName(weight));
    dense.dispose();
    return prepare(quantized);
  };
  const weights = [make()];
  const { byteLength } = weights[0]!;
  if (cache === 'cold') {
    const count = Math.ceil((CACHE_FACTOR * cacheBytesOf(device)) / byteLength) + 1;
    while (weights.length < count) weights.push(make());
  }
  return {
    copies: weights.length,
    weightBytes: byteLength,
    kernel: explain(x, weights[0]!, { accuracy }).chosen!,
    period: weights.length,
    enqueue: (index: number) => {
      matmul(x, weights[index % weights.length]!, { accuracy }).dispose();
    },
    settle: () => device.synchronize(),
    [Symbol.asyncDispose]: async () => {
      for (const one of [x, ...weights]) one.dispose();
      await device.synchronize();
    },
  };
}
