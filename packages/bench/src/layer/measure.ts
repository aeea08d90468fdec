import { type FloatDType, pad, Tensor } from '@qutlass/core-kernels';
import { matmul } from '@qutlass/gemm';
import { Linear, type LinearModule, QuantLinear } from '@qutlass/layers';
import { quantize } from '@qutlass/quant';
import { denseDType } from '../gemm/operands.js';
import { explainProduct } from '../gemm/product.js';
import { type Shape, shapeName } from '../gemm/shapes.js';
import { type Variant, variantName } from '../model/variants.js';
import type { LayerRow } from '../results/types.js';
import type { Contender } from '../timing/clock.js';
import { Copies } from '../timing/copies.js';
import { Pace } from '../timing/pace.js';
import { sampleInterleaved } from '../timing/sampling.js';
import { samplingOf, type TimingOptions } from '../timing/settings.js';

export interface LayerOptions extends TimingOptions {
  shapes: readonly Shape[];
  variants: readonly Variant[];
}

/**
 * Times whole linear layers, from dense activations to dense results, against the dense layer in the same rounds; and
 * beside them the product alone, of activations that were quantized beforehand. Weights are never in the cache.
 */
export async function measureLayers(options: LayerOptions): Promise<LayerRow[]> {
  const { device, shapes, variants } = options;
  const dtype = denseDType(device);
  const rows: LayerRow[] = [];
  const pace = new Pace(options.progress, shapes.length * variants.length);
  for (const shape of shapes) {
    const { m, n, k } = shape;
    using weight = Tensor.random([n, k], { dtype, device, seed: 1, deviation: k ** -0.5 });
    using x = Tensor.random([m, k], { dtype, device, seed: 2 });
    using baseline = Copies.make(device, () => new Linear(weight.clone()));
    for (const variant of variants) {
      pace.step(`${shapeName(shape)} ${variantName(variant)}`);
      using layers = Copies.make(device, () => createLayer(weight, variant));
      rows.push({ ...{ m, n, k }, ...(await measureLayer(x, variant, layers, baseline, options)) });
    }
  }
  return rows;
}

/** A linear layer [N, K] as the variant says, from a dense weight that stays the caller's. */
export function createLayer(weight: Tensor<FloatDType>, variant: Variant): LinearModule {
  const { weights: format, activations, rotation } = variant;
  if (!format) return new Linear(weight.clone());
  const layer = QuantLinear.from(weight, {
    format,
    activations: activations ?? null,
    ...(rotation && { rotation }),
  });
  // Now, and not within a measurement.
  layer.prepared;
  return layer;
}

async function measureLayer(
  x: Tensor<FloatDType>,
  { weights, activations, rotation }: Variant,
  layers: Copies<LinearModule>,
  baseline: Copies<LinearModule>,
  options: LayerOptions,
): Promise<Omit<LayerRow, keyof Shape>> {
  const forward = (copies: Copies<LinearModule>): Contender => ({
    enqueue: (call) => copies.at('cold', call).forward(x).dispose(),
    period: copies.period('cold'),
  });
  using prepared = preparedInput(x, layers.at('cold', 0));
  const ideal: Contender = {
    enqueue: (call) => prepared.multiply(layers.at('cold', call)),
    period: layers.period('cold'),
  };
  const sampled = await sampleInterleaved([forward(baseline), forward(layers), ideal], samplingOf(options));
  const [, whole, product] = sampled;
  return {
    weight: weights?.name ?? denseDType(options.device),
    activations: activations?.name ?? null,
    rotation: rotation?.toString() ?? null,
    kernel: prepared.kernel,
    seconds: whole!.seconds,
    idealSeconds: product!.seconds,
    speedup: whole!.speedup,
    idealSpeedup: product!.speedup,
  };
}

/** Activations as the product of a layer takes them. */
interface PreparedInput extends Disposable {
  readonly kernel: string;
  multiply(layer: LinearModule): void;
}

function preparedInput(x: Tensor<FloatDType>, layer: LinearModule): PreparedInput {
  if (!(layer instanceof QuantLinear) || !layer.activations) {
    const weight = layer instanceof QuantLinear ? layer.prepared : (layer as Linear).weight;
    return {
      kernel: explainPadded(x, layer, weight),
      multiply: (other) => other.forward(x).dispose(),
      [Symbol.dispose]: () => {},
    };
  }
  const { prepared, activations } = layer;
  const { rotation, shape } = prepared;
  using input = padded(x, shape[1]);
  const quantized = quantize(input, activations, rotation ? { rotation } : {});
  return {
    kernel: explainProduct(quantized, prepared, x.dtype).chosen ?? '',
    multiply: (other) => matmul(quantized, (other as QuantLinear).prepared, { outDType: x.dtype }).dispose(),
    [Symbol.dispose]: () => quantized.dispose(),
  };
}

function explainPadded(
  x: Tensor<FloatDType>,
  layer: LinearModule,
  weight: Parameters<typeof explainProduct>[1],
): string {
  using input = padded(x, weight.shape[1] ?? layer.inFeatures);
  return explainProduct(input, weight, x.dtype).chosen ?? '';
}

function padded(x: Tensor<FloatDType>, cols: number): Tensor<FloatDType> {
  const [rows = 1, own] = x.shape;
  return own === cols ? x.share() : pad(x, rows, cols);
}
