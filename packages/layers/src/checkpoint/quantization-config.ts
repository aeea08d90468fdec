import { join } from 'node:path';
import { QutlassError } from '@qutlass/core-kernels';
import {
  type Format,
  formatByName,
  type Rotation,
  type RotationJSON,
  rotationFromJSON,
} from '@qutlass/quant';
import { z } from 'zod';
import { checkpointError, show } from './errors.js';
import { isJsonObject, readJsonObject } from './json-file.js';

/** How a saved model says that it is quantized: `quantization_config` in config.json. */
export const QUANT_METHOD = 'qutlass';
const VERSION = 1;

/** What config.json says of one quantized linear layer. */
export interface QuantizedModule {
  readonly format: Format;
  readonly activations: Format | null;
  readonly rotation: Rotation | undefined;
  readonly inFeatures: number;
}

export interface QuantizationConfig {
  /** By module path, for example `model.layers.0.mlp.up_proj`. */
  readonly modules: ReadonlyMap<string, QuantizedModule>;
}

const rotationSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('identity') }),
  z.object({ kind: z.literal('hadamard'), size: z.int(), seed: z.int().optional() }),
  z.object({ kind: z.literal('matrix'), size: z.int().positive(), bits: z.array(z.int().min(0).max(65535)) }),
]);

const schema = z.object({
  version: z.literal(VERSION),
  modules: z.record(
    z.string(),
    z.object({
      format: z.string(),
      activations: z.string().nullable(),
      rotation: rotationSchema.optional(),
      in_features: z.int().positive(),
    }),
  ),
});

/**
 * The quantization that config.json of a directory describes; undefined if the model is not quantized.
 * @throws QutlassError `QUTLASS_E_UNSUPPORTED` for a method of another library, `QUTLASS_E_CHECKPOINT` if malformed
 */
export async function readQuantizationConfig(directory: string): Promise<QuantizationConfig | undefined> {
  const path = join(directory, 'config.json');
  const { quantization_config: raw } = await readJsonObject(path);
  if (raw === undefined || raw === null) return undefined;
  const method = isJsonObject(raw) ? raw.quant_method : undefined;
  if (method !== QUANT_METHOD) {
    throw new QutlassError(
      'QUTLASS_E_UNSUPPORTED',
      `${path}: quantization_config.quant_method: expected "${QUANT_METHOD}", got ${show(method)}`,
    );
  }
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw checkpointError(path, `quantization_config.${issue?.path.join('.')}: ${issue?.message}`);
  }
  const modules = new Map<string, QuantizedModule>();
  // One object for all layers that rotate alike, so that its data are on the device once.
  const rotations = new Map<string, Rotation>();
  const rotationOf = (json: RotationJSON): Rotation => {
    const key = JSON.stringify(json);
    const rotation = rotations.get(key) ?? rotationFromJSON(json);
    rotations.set(key, rotation);
    return rotation;
  };
  for (const [name, module] of Object.entries(parsed.data.modules)) {
    try {
      modules.set(name, {
        format: formatByName(module.format),
        activations: module.activations === null ? null : formatByName(module.activations),
        rotation: module.rotation && rotationOf(module.rotation as RotationJSON),
        inFeatures: module.in_features,
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw checkpointError(path, `quantization_config.modules.${name}: ${reason}`, error);
    }
  }
  return { modules };
}

/** The JSON that {@link readQuantizationConfig} reads. */
export function quantizationConfigJSON({ modules }: QuantizationConfig): Record<string, unknown> {
  const entries = [...modules].map(([name, { format, activations, rotation, inFeatures }]) => [
    name,
    {
      format: format.name,
      activations: activations?.name ?? null,
      ...(rotation && { rotation: rotation.toJSON() }),
      in_features: inFeatures,
    },
  ]);
  return { quant_method: QUANT_METHOD, version: VERSION, modules: Object.fromEntries(entries) };
}
