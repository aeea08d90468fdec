import { message } from './protobuf.js';

// An ONNX model of independent products, written as a protocol buffer by the field numbers of onnx.proto3.

/** The element types of tensors that are used here, by their numbers in TensorProto. */
const ELEMENT_TYPES = { f32: 1, u8: 2, i8: 3 } as const;

/** A constant of a model. */
export interface Constant {
  readonly type: keyof typeof ELEMENT_TYPES;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** An operator that takes an input and constants to an output. */
export interface Operator {
  readonly type: string;
  /** `com.microsoft` for those that ONNX Runtime adds. */
  readonly domain: string;
  readonly attributes: Readonly<Record<string, number>>;
}

/** The model `y0 = op(x, constants[0])`, `y1 = op(x, constants[1])` and so on; x and y are float32 matrices. */
export function onnxModel(
  operator: Operator,
  constants: readonly (readonly Constant[])[],
  [m, n, k]: readonly [m: number, n: number, k: number],
): Uint8Array {
  const nodes = constants.map((own, index) =>
    message({
      1: ['x', ...own.map((_, i) => `w${index}.${i}`)],
      2: `y${index}`,
      4: operator.type,
      5: Object.entries(operator.attributes).map(([name, value]) => message({ 1: name, 3: value, 20: 2 })),
      7: operator.domain,
    }),
  );
  const initializers = constants.flatMap((own, index) =>
    own.map(({ type, shape, bytes }, i) =>
      message({ 1: shape, 2: ELEMENT_TYPES[type], 8: `w${index}.${i}`, 9: bytes }),
    ),
  );
  const graph = message({
    1: nodes,
    2: 'products',
    5: initializers,
    11: matrix('x', [m, k]),
    12: constants.map((_, index) => matrix(`y${index}`, [m, n])),
  });
  const opsets = [message({ 1: '', 2: 17 }), message({ 1: 'com.microsoft', 2: 1 })];
  return message({ 1: 8, 7: graph, 8: opsets });
}

/** A ValueInfoProto. */
function matrix(name: string, shape: readonly number[]): Uint8Array {
  const dimensions = message({ 1: shape.map((extent) => message({ 1: extent })) });
  return message({ 1: name, 2: message({ 1: message({ 1: ELEMENT_TYPES.f32, 2: dimensions }) }) });
}
