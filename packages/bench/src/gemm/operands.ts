import { type FloatDType, invalidArgument } from '@qutlass/core-kernels';
import { FORMAT_PAIRS } from '@qutlass/gemm';
import { type Format, formatByName } from '@qutlass/quant';

/** The kinds of A and B of a product: a dtype for dense values, else a format. */
export interface Operands {
  readonly a: FloatDType | Format;
  readonly weight: FloatDType | Format;
}

const DENSE: readonly string[] = ['f32', 'bf16', 'f16'];

const FULL = [
  ...['f32', 'bf16'],
  ...['int8-row', 'int8-row:int8-row'],
  ...['fp8-row', 'fp8-row:fp8-row', 'fp8-128x128'],
  ...['mxfp8', 'mxfp8:mxfp8'],
  'int4-g32',
  ...['int4-g128', 'int8-row:int4-g128'],
  'nf4',
  ...['nvfp4', 'nvfp4:nvfp4'],
  ...['mxfp4', 'mxfp4:mxfp4'],
];

export const OPERANDS: readonly Operands[] = FULL.map(parseOperands);

/**
 * `nvfp4` for that weight and float32 activations, `int8-row:int4-g128` for activations and weight.
 * @throws QutlassError `QUTLASS_E_FORMAT` for unknown formats and pairs that do not multiply
 */
export function parseOperands(text: string): Operands {
  const [weight = '', a] = text.trim().split(':').reverse();
  if (DENSE.includes(weight) && a === undefined) return { a: 'f32', weight: weight as FloatDType };
  const format = formatByName(weight);
  if (a === undefined) return { a: 'f32', weight: format };
  const activations = formatByName(a);
  const partners: readonly string[] = FORMAT_PAIRS[activations.kind];
  if (!partners.includes(format.kind)) {
    const expected = `a weight that ${a} multiplies with: ${partners.join(' or ') || 'none'}`;
    throw invalidArgument('QUTLASS_E_FORMAT', '--formats', expected, weight);
  }
  return { a: activations, weight: format };
}

export function operandName(operand: FloatDType | Format): string {
  return typeof operand === 'string' ? operand : operand.name;
}
