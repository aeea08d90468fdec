import { add, checksum, copyRows, loadBinding, scope, Tensor } from '@qutlass/core-kernels';
import { explain, matmul } from '@qutlass/gemm';
import { fp8, int8, quantize } from '@qutlass/quant';
import type { Limits } from './results/types.js';
import { perSecond, type Spread } from './statistics.js';
import type { Contender } from './timing/clock.js';
import { cacheBytesOf } from './timing/copies.js';
import { sampleInterleaved } from './timing/sampling.js';
import { samplingOf, type TimingOptions } from './timing/settings.js';

/** Bytes that are streamed, in sizes of the last cache: so many that what stays in it does not count. */
const STREAM_CACHES = { cpu: 8, cuda: 40 } as const;
const MOST_STREAM_BYTES = 2 ** 31;

/** Extent of the square products that the rates of the vendor's library are taken from. */
const PEAK_EXTENT = { full: 8192, quick: 4096 } as const;

/**
 * What the device can do at most, measured in the same run as everything that is compared with it: reading and copying
 * memory, the products of the vendor's library, one tiny kernel.
 */
export async function measureLimits(options: TimingOptions): Promise<Limits> {
  const { device } = options;
  options.progress?.step(`limits of ${device.info.name}`);
  const size = options.quick ? 'quick' : 'full';
  const bytes = Math.min(STREAM_CACHES[device.kind] * cacheBytesOf(device), MOST_STREAM_BYTES);
  const { read, copy } = await measureStreams(options, bytes);
  const extent = PEAK_EXTENT[size];
  return {
    readBandwidth: read,
    copyBandwidth: copy,
    launchSeconds: await measureLaunch(options),
    peaks: {
      extent,
      bf16: await measurePeak(options, 'cublaslt.bf16', extent, null),
      fp8: await measurePeak(options, 'cublaslt.fp8', extent, fp8({ granularity: 'tensor' })),
      int8: await measurePeak(options, 'cublaslt.int8', extent, int8()),
    },
  };
}

async function measureStreams(
  options: TimingOptions,
  bytes: number,
): Promise<{ read: Spread; copy: Spread }> {
  const { device } = options;
  // A row of 4 KiB: extents of tensors are limited, not their product.
  const shape = [Math.ceil(bytes / 4096), 1024];
  using source = Tensor.random(shape, { dtype: 'f32', device, seed: 1 });
  using target = Tensor.empty(shape, 'f32', device);
  const [read, copy] = await sampleInterleaved(
    [{ enqueue: () => checksum(source).dispose() }, { enqueue: () => copyRows(source, target, 0) }],
    samplingOf(options),
  );
  return {
    read: perSecond(read!.seconds, source.byteLength),
    copy: perSecond(copy!.seconds, 2 * source.byteLength),
  };
}

async function measureLaunch(options: TimingOptions): Promise<Spread> {
  using x = Tensor.random([1], { dtype: 'f32', device: options.device, seed: 1 });
  const [launch] = await sampleInterleaved([{ enqueue: () => add(x, x).dispose() }], samplingOf(options));
  return launch!.seconds;
}

/** Operations per second of a kernel on a square product; null where it is missing or refuses. */
async function measurePeak(
  options: TimingOptions,
  kernel: string,
  extent: number,
  format: Parameters<typeof quantize>[1] | null,
): Promise<Spread | null> {
  const { device } = options;
  const known = loadBinding().kernels();
  if (!known.some(({ name, available }) => name === kernel && available)) return null;
  const operands = scope(() => {
    const dense = [1, 2].map((seed) => Tensor.random([extent, extent], { dtype: 'bf16', device, seed }));
    return { dense, quantized: format ? dense.map((x) => quantize(x, format)) : [] };
  });
  const [a, b] = operands.dense;
  const [qa, qb] = operands.quantized;
  const contender: Contender = {
    enqueue: () => (qa && qb ? matmul(qa, qb, { kernel }) : matmul(a!, b!, { kernel })).dispose(),
  };
  try {
    const { candidates } = qa && qb ? explain(qa, qb) : explain(a!, b!);
    if (candidates.find((candidate) => candidate.kernel.name === kernel)?.refusal !== undefined) return null;
    const [sampled] = await sampleInterleaved([contender], samplingOf(options));
    return perSecond(sampled!.seconds, 2 * extent ** 3);
  } finally {
    for (const operand of [...operands.dense, ...operands.quantized]) operand.dispose();
  }
}
