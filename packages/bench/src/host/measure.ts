import { Graph, Tensor } from '@qutlass/core-kernels';
import { denseDType } from '../gemm/operands.js';
import { createLayer } from '../layer/measure.js';
import { type Variant, variantName } from '../model/variants.js';
import type { HostRow } from '../results/types.js';
import { type Contender, enqueueClock } from '../timing/clock.js';
import { type SamplingOptions, sampleInterleaved } from '../timing/sampling.js';
import { samplingOf, type TimingOptions } from '../timing/settings.js';

/** A layer of one token, so small that the device keeps up with the host. */
const EXTENT = { full: 1024, quick: 256 } as const;

const SAMPLE_SECONDS = 4e-3;
/** Fewer than a device queues before it makes the host wait. */
const MAX_CALLS = 256;
const ROUNDS = { full: 31, quick: 5 } as const;
/** Calls before the first sample, after which the code is compiled and memory comes from the pool. */
const WARM_UP_CALLS = 400;

/** Calls in the larger of the graphs that are launched. */
const GRAPH_CALLS = 64;

export interface HostOptions extends TimingOptions {
  variants: readonly Variant[];
}

/** How {@link measureHost} samples: the time that the JavaScript thread spends on enqueuing. */
export function hostSampling(options: TimingOptions): SamplingOptions {
  return {
    ...samplingOf(options, enqueueClock(options.device)),
    sampleSeconds: SAMPLE_SECONDS,
    maxCalls: MAX_CALLS,
    rounds: ROUNDS[options.quick ? 'quick' : 'full'],
  };
}

interface Operation extends Contender, Disposable {
  readonly name: string;
  readonly nodes: number;
}

/** Time of the JavaScript thread for one forward pass of a layer, and for launching a graph: what it takes to enqueue it. */
export async function measureHost(options: HostOptions): Promise<HostRow[]> {
  const { device, variants, quick, progress } = options;
  progress?.step('host cost of layers and graphs');
  const extent = EXTENT[quick ? 'quick' : 'full'];
  const dtype = denseDType(device);
  using x = Tensor.random([1, extent], { dtype, device, seed: 1 });
  using weight = Tensor.random([extent, extent], { dtype, device, seed: 2, deviation: extent ** -0.5 });
  const operations: Operation[] = [];
  try {
    for (const variant of variants) operations.push(forwardOperation(x, weight, variant));
    for (const calls of [1, GRAPH_CALLS]) operations.push(launchOperation(x, weight, variants[0]!, calls));
    for (const { enqueue } of operations) {
      for (let call = 0; call < WARM_UP_CALLS; ++call) enqueue(call);
      await device.synchronize();
    }
    const sampled = await sampleInterleaved(operations, hostSampling(options));
    return operations.map(({ name, nodes }, index) => ({
      operation: name,
      nodes,
      seconds: sampled[index]!.seconds,
    }));
  } finally {
    for (const operation of operations) operation[Symbol.dispose]();
  }
}

function forwardOperation(
  x: Tensor<'f32' | 'bf16'>,
  weight: Tensor<'f32' | 'bf16'>,
  variant: Variant,
): Operation {
  const layer = createLayer(weight, variant);
  const enqueue = () => layer.forward(x).dispose();
  enqueue();
  using graph = Graph.capture(x.device, enqueue);
  return {
    name: variant.weights ? `QuantLinear.forward ${variantName(variant)}` : `Linear.forward ${x.dtype}`,
    nodes: graph.size,
    enqueue,
    [Symbol.dispose]: () => layer.dispose(),
  };
}

function launchOperation(
  x: Tensor<'f32' | 'bf16'>,
  weight: Tensor<'f32' | 'bf16'>,
  variant: Variant,
  calls: number,
): Operation {
  using layer = createLayer(weight, variant);
  layer.forward(x).dispose();
  const graph = Graph.capture(x.device, () => {
    for (let call = 0; call < calls; ++call) layer.forward(x).dispose();
  });
  return {
    name: 'Graph.launch',
    nodes: graph.size,
    enqueue: () => graph.launch(),
    [Symbol.dispose]: () => graph.dispose(),
  };
}
