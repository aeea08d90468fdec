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
import { validate } from './config.js';
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

const integer = z.int('an integer');
const positiveInteger = z.int('a positive integer').positive('a positive integer');
const bits = z
  .int('the bits of a bfloat16')
  .min(0, 'the bits of a bfloat16')
  .max(0xffff, 'the bits of a bfloat16');

const rotationSchema = z.discriminatedUnion(
  'kind',
  [
    z.object({ kind: z.literal('identity') }),
    z.object({ kind: z.literal('hadamard'), size: integer, seed: integer.optional() }),
    z.object({ kind: z.literal('matrix'), size: integer, bits: z.array(bits, 'an array') }),
  ],
  'identity, hadamard or matrix',
);

const moduleSchema = z.object(
  {
    format: z.string('the name of a format'),
    activations: z.string('the name of a format or null').nullable(),
    rotation: rotationSchema.optional(),
    in_features: positiveInteger,
  },
  'an object',
);

const schema = z.object({
  version: z.literal(VERSION, String(VERSION)),
  modules: z.record(z.string(), moduleSchema, 'an object'),
});

/**
 * The quantization that config.json of a directory describes; undefined if the model is not quantized.
 * @throws QutlassError `QUTLASS_E_UNSUPPORTED` for a method of another library, `QUTLASS_E_CHECKPOINT` if malformed
 */
export async function readQuantizationConfig(directory: string): Promise<QuantizationConfig | undefined> {
  const path = join(directory, 'config.json');
  const { quantization_config: raw } = await readJsonObject(path);
  if (raw === undefined || raw === null) return undefined;
  if (!isJsonObject(raw) || raw.quant_method !== QUANT_METHOD) {
    const method = isJsonObject(raw) ? raw.quant_method : undefined;
    throw new QutlassError(
      'QUTLASS_E_UNSUPPORTED',
      `${path}: quantization_config.quant_method: expected "${QUANT_METHOD}", got ${show(method)}`,
    );
  }
  const quantization = validate(schema, raw, path, 'quantization_config');
  const modules = new Map<string, QuantizedModule>();
  // One object for all layers that rotate alike, so that its data are on the device once.
  const rotations = new Map<string, Rotation>();
  const rotationOf = (json: RotationJSON): Rotation => {
    const key = JSON.stringify(json);
    const rotation = rotations.get(key) ?? rotationFromJSON(json);
    rotations.set(key, rotation);
    return rotation;
  };
  for (const [name, module] of Object.entries(quantization.modules)) {
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
