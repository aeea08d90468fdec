import { type Device, type FloatDType, invalidArgument } from '@qutlass/core-kernels';
import { FORMAT_PAIRS } from '@qutlass/gemm';
import { type Format, formatByName } from '@qutlass/quant';

/** The kinds of A and B of a product: a dtype for dense values, else a format. */
export interface Operands {
  readonly a: FloatDType | Format;
  readonly weight: FloatDType | Format;
}

const DENSE: readonly string[] = ['f32', 'bf16', 'f16'];

const QUANTIZED = [
  ...['int8-row', 'int8-row:int8-row'],
  ...['fp8-row', 'fp8-row:fp8-row', 'fp8-128x128'],
  ...['mxfp8', 'mxfp8:mxfp8'],
  'int4-g32',
  ...['int4-g128', 'int8-row:int4-g128'],
  'nf4',
  ...['nvfp4', 'nvfp4:nvfp4'],
  ...['mxfp4', 'mxfp4:mxfp4'],
];

/** What dense values are kept in: float32 on the CPU, which has no 16-bit arithmetic, and bf16 elsewhere. */
export function denseDType({ kind }: Device): 'f32' | 'bf16' {
  return kind === 'cpu' ? 'f32' : 'bf16';
}

/** What a device multiplies: dense weights, each kind of format as weights and, where it can be, as activations too. */
export function defaultOperands(dense: FloatDType): readonly Operands[] {
  const plain = dense === 'f32' ? ['f32', 'bf16'] : [dense, 'fp8-tensor:fp8-tensor'];
  return [...plain, ...QUANTIZED].map((text) => parseOperands(text, dense));
}

/**
 * `nvfp4` for that weight and dense activations, `int8-row:int4-g128` for activations and weight.
 * @throws QutlassError `QUTLASS_E_FORMAT` for unknown formats and pairs that do not multiply
 */
export function parseOperands(text: string, dense: FloatDType): Operands {
  const [weight = '', a] = text.trim().split(':').reverse();
  if (DENSE.includes(weight) && a === undefined) return { a: dense, weight: weight as FloatDType };
  const format = formatByName(weight);
  if (a === undefined) return { a: dense, weight: format };
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
