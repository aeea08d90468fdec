import { type Device, type FloatDType, Resource, scope, Tensor } from '@qutlass/core-kernels';
import { matmul, matmulExperts, type PreparedWeight } from '@qutlass/gemm';
import type { Format } from '@qutlass/quant';
import type { SuiteTiming } from '../cli/suite.js';
import { denseDType } from '../gemm/operands.js';
import { makeWeight } from '../gemm/product.js';
import { shuffled, uniform } from '../random.js';
import type { ExpertsRow } from '../results/types.js';
import { Copies } from '../timing/copies.js';
import { Pace } from '../timing/pace.js';
import { sampleInterleaved } from '../timing/sampling.js';
import { samplingOf } from '../timing/settings.js';
import { type ExpertsLayer, layerName } from './layers.js';

export interface ExpertsOptions extends SuiteTiming {
  layers: readonly ExpertsLayer[];
  tokens: readonly number[];
  formats: readonly Format[];
}

/**
 * Times the products of experts in one call against one call of `matmul` for each expert that has rows, in the same rounds, for
 * tokens that take experts at random. Weights are never in the cache.
 */
export async function measureExperts(options: ExpertsOptions): Promise<ExpertsRow[]> {
  const { device, layers, tokens, formats } = options;
  const rows: ExpertsRow[] = [];
  const pace = new Pace(options.progress, layers.length * formats.length * tokens.length);
  for (const layer of layers) {
    for (const format of formats) {
      // A single token reads no other experts than its own.
      const share = layer.top / layer.experts;
      using stacked = Copies.make(device, () => makeExperts(device, layer, format), share);
      using separate = Copies.make(device, () => new SeparateExperts(device, layer, format), share);
      for (const count of tokens) {
        pace.step(`${layerName(layer)}, ${count} tokens, ${format.name}`);
        rows.push(await measureRoute(layer, count, stacked, separate, format, options));
      }
    }
  }
  return rows;
}

/** A prepared weight for all experts. */
function makeExperts(device: Device, { experts, n, k }: ExpertsLayer, format: Format): PreparedWeight {
  using dense = Tensor.random([experts * n, k], { dtype: denseDType(device), device, seed: 1 });
  return makeWeight(dense, format) as PreparedWeight;
}

/** A prepared weight for each expert. */
class SeparateExperts extends Resource {
  readonly weights: readonly PreparedWeight[];

  constructor(device: Device, layer: ExpertsLayer, format: Format) {
    super();
    this.weights = scope(() =>
      Array.from({ length: layer.experts }, () => makeExperts(device, { ...layer, experts: 1 }, format)),
    );
  }

  get byteLength(): number {
    return this.weights.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  override owned(): Iterable<Resource> {
    return this.weights;
  }

  protected release(): void {
    for (const weight of this.weights) weight.dispose();
  }
}

/** Rows of each expert, for tokens that take `top` of them at random, the same in every run. */
export function routeTokens({ experts, top }: ExpertsLayer, tokens: number): number[] {
  const next = uniform(tokens);
  const counts = new Array<number>(experts).fill(0);
  for (let token = 0; token < tokens; ++token) {
    for (const expert of shuffled(experts, next).slice(0, top)) counts[expert]! += 1;
  }
  return counts;
}

async function measureRoute(
  layer: ExpertsLayer,
  tokens: number,
  stacked: Copies<PreparedWeight>,
  separate: Copies<SeparateExperts>,
  format: Format,
  options: ExpertsOptions,
): Promise<ExpertsRow> {
  const { device, limits } = options;
  const { experts, n, k, top } = layer;
  const dtype = denseDType(device);
  const counts = routeTokens(layer, tokens);
  const begins = [0];
  for (const count of counts) begins.push(begins.at(-1)! + count);
  using x = Tensor.random([tokens * top, k], { dtype, device, seed: 2 });
  using offsets = Tensor.from(Int32Array.from(begins), { shape: [experts + 1], dtype: 'i32', device });
  const parts: { expert: number; rows: Tensor<FloatDType> }[] = counts.flatMap((count, expert) =>
    count > 0 ? [{ expert, rows: x.rows(begins[expert]!, begins[expert]! + count) }] : [],
  );
  try {
    const [one, all] = await sampleInterleaved(
      [
        {
          enqueue: (call) => {
            const { weights } = separate.at('cold', call);
            for (const { expert, rows } of parts) matmul(rows, weights[expert]!).dispose();
          },
          period: separate.period('cold'),
        },
        {
          enqueue: (call) => matmulExperts(x, stacked.at('cold', call), offsets).dispose(),
          period: stacked.period('cold'),
        },
      ],
      samplingOf(options),
    );
    const weightBytes = (stacked.bytesEach / experts) * parts.length;
    const bytes = weightBytes + x.byteLength + (x.byteLength / k) * n;
    return {
      ...{ experts, n, k, top, tokens, active: parts.length, weight: format.name },
      weightBytes,
      seconds: all!.seconds,
      separateSeconds: one!.seconds,
      bandwidthFraction: bytes / all!.seconds.median / limits.readBandwidth.median,
      speedup: all!.speedup,
    };
  } finally {
    for (const { rows } of parts) rows.dispose();
  }
}
