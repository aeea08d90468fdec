import type { DecodeRow, ErrorRow, MadeInput, ModelRow, QuantizeRow } from './types.js';

/** `nvfp4`, `nvfp4 + hadamard(16)`, `int8-row x int4-g128` with activations first. */
export function productName(weights: string, activations: string | null, rotation: string | null): string {
  const product = activations === null ? weights : `${activations} x ${weights}`;
  return rotation === null ? product : `${product} + ${rotation}`;
}

export function modelRowName({ weights, activations, rotation }: ModelRow): string {
  return productName(weights, activations, rotation);
}

export function errorRowName({ format, rotation }: Pick<ErrorRow, 'format' | 'rotation'>): string {
  return productName(format, null, rotation);
}

const MADE_INPUTS: Readonly<Record<MadeInput['by'], string>> = {
  rmsNorm: 'RMSNorm',
  siluMul: 'silu(gate) * up',
};

/**
 * `nvfp4 + hadamard(16)`, `nvfp4 of RMSNorm, fused` or `.., in two calls` with what makes the matrix, `nvfp4, transposed` with
 * what training adds.
 */
export function quantizeRowName({ format, rotation, made, training }: QuantizeRow): string {
  const name = productName(format, null, rotation);
  if (training) return `${name}, ${training}`;
  return made ? `${name} of ${MADE_INPUTS[made.by]}, ${made.fused ? 'fused' : 'in two calls'}` : name;
}

/** `int4-g128`, and `int4-g128, head bf16` where the head is not as the layers are. */
export function decodeRowName({ weights, activations, rotation, head }: DecodeRow): string {
  const layers = productName(weights, activations, rotation);
  return head === weights ? layers : `${layers}, head ${head}`;
}
