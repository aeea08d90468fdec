import { invalidArgument } from '@qutlass/core-kernels';
import { type Format, formatByName, type Rotation } from '@qutlass/quant';
import picomatch from 'picomatch';
import { Linear, TiedLinear } from '../modules/linear.js';
import type { Module } from '../modules/module.js';
import { QuantLinear } from '../modules/quant-linear.js';

/** How to quantize one linear layer. */
export interface LayerRecipe {
  /** A format or its name; null leaves the layer as it is. */
  format: Format | string | null;
  /** Quantize the inputs as well; default null: weight-only. */
  activations?: Format | string | null;
  rotation?: Rotation;
}

/**
 * How to quantize a model. Patterns match module paths: `*` stands for one component, `**` for any number; a pattern without
 * a dot matches the last component, so `down_proj` means every layer's.
 */
export interface Recipe extends LayerRecipe {
  /** Modules to quantize; default: all linear layers. */
  include?: readonly string[];
  /** Modules to leave as they are; default: `lm_head`. */
  exclude?: readonly string[];
  /** Exceptions; the first one that matches replaces the recipe for a module. */
  overrides?: readonly (LayerRecipe & { match: string })[];
}

export interface QuantizeModelOptions {
  signal?: AbortSignal;
  /** Called after each layer. */
  onProgress?: (progress: { module: string; done: number; total: number }) => void;
}

/**
 * Replaces the dense linear layers of a model by {@link QuantLinear} as the recipe says, and returns their paths. All layers
 * are quantized before the first is replaced: a failure leaves the model as it was.
 * @throws QutlassError `QUTLASS_E_ARGUMENT` if a pattern matches no linear layer; what {@link QuantLinear.from} throws
 */
export async function quantizeModel(
  model: Module,
  recipe: Recipe,
  { signal, onProgress }: QuantizeModelOptions = {},
): Promise<readonly string[]> {
  const plan = planOf(model, recipe);
  const quantized = new Map<string, QuantLinear>();
  try {
    for (const [path, { layer, format, activations, rotation }] of plan) {
      signal?.throwIfAborted();
      const bias = layer instanceof Linear ? layer.bias?.share() : undefined;
      try {
        const options = { format, activations, ...(rotation && { rotation }), ...(bias && { bias }) };
        quantized.set(path, QuantLinear.from(layer.weight, options));
      } catch (error) {
        bias?.dispose();
        throw error;
      }
      await layer.weight.device.synchronize();
      onProgress?.({ module: path, done: quantized.size, total: plan.size });
    }
    signal?.throwIfAborted();
  } catch (error) {
    for (const layer of quantized.values()) layer.dispose();
    throw error;
  }
  for (const [path, layer] of quantized) model.replaceChild(path, layer).dispose();
  return [...quantized.keys()];
}

type DenseLinear = Linear | TiedLinear;

interface PlannedLayer {
  layer: DenseLinear;
  format: Format;
  activations: Format | null;
  rotation: Rotation | undefined;
}

function planOf(model: Module, recipe: Recipe): Map<string, PlannedLayer> {
  const linears = [...model.modules()].filter(
    (entry): entry is [string, DenseLinear] => entry[1] instanceof Linear || entry[1] instanceof TiedLinear,
  );
  const paths = linears.map(([path]) => path);
  const matcherOf = (pattern: string, name: string) => {
    const matches = pathMatcher(pattern);
    if (!paths.some(matches)) {
      throw invalidArgument(
        'QUTLASS_E_ARGUMENT',
        name,
        'a pattern of linear layers',
        JSON.stringify(pattern),
      );
    }
    return matches;
  };
  const include = (recipe.include ?? ['**']).map((pattern) => matcherOf(pattern, 'include'));
  // The default exclusion need not be there: a model may lack a head, or have it quantized already.
  const exclude = recipe.exclude?.map((pattern) => matcherOf(pattern, 'exclude')) ?? [pathMatcher('lm_head')];
  const overrides = (recipe.overrides ?? []).map((override) => ({
    override,
    matches: matcherOf(override.match, 'overrides'),
  }));
  const plan = new Map<string, PlannedLayer>();
  for (const [path, layer] of linears) {
    if (!include.some((matches) => matches(path)) || exclude.some((matches) => matches(path))) continue;
    const chosen: LayerRecipe = overrides.find(({ matches }) => matches(path))?.override ?? recipe;
    const format = resolveFormat(chosen.format);
    if (!format) continue;
    plan.set(path, {
      layer,
      format,
      activations: resolveFormat(chosen.activations),
      rotation: chosen.rotation,
    });
  }
  return plan;
}

function pathMatcher(pattern: string): (path: string) => boolean {
  // picomatch refuses the empty pattern with an error of its own; no path is empty.
  if (pattern === '') return () => false;
  const slashed = (path: string) => path.replaceAll('.', '/');
  const matches = picomatch(slashed(pattern), { basename: !pattern.includes('.') });
  return (path) => matches(slashed(path));
}

function resolveFormat(format: Format | string | null | undefined): Format | null {
  return typeof format === 'string' ? formatByName(format) : (format ?? null);
}
