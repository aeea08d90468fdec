import { randomBytes } from 'node:crypto';
import type { Shape } from '../results/types.js';
import { type Constant, type Operator, onnxModel } from './onnx-model.js';
import type { PeerContender, PeerPackages } from './peer.js';

// ONNX Runtime multiplies by an operator of a session, whose weights are constants of the model. They are random bytes:
// only times are of interest here. All copies of a weight differ, or the runtime would make one of them.

export const RUNTIME_PACKAGE = 'onnxruntime-node';

/** Of that package, as much as is used here. */
interface Runtime {
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<Session>;
  };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => unknown;
}

interface Session {
  run(feeds: Readonly<Record<string, unknown>>): Promise<unknown>;
  release(): Promise<void>;
}

/** A way to multiply, by the operator that has it. */
interface OnnxProduct {
  readonly operator: (shape: Shape) => Operator;
  readonly constants: (shape: Shape) => readonly Constant[];
}

/** int4 in blocks along K under float32 scales. */
function nBits(block: number, accuracyLevel: number): OnnxProduct {
  return {
    operator: ({ n, k }) => ({
      type: 'MatMulNBits',
      domain: 'com.microsoft',
      attributes: { K: k, N: n, bits: 4, block_size: block, accuracy_level: accuracyLevel },
    }),
    constants: ({ n, k }) => [
      { type: 'u8', shape: [n, k / block, block / 2], bytes: randomBytes((n * k) / 2) },
      floats([(n * k) / block], 2 ** -6),
    ],
  };
}

/** By the names that results have. */
export const ONNX_PRODUCTS = {
  'MatMulNBits block 32, accuracy_level 4': nBits(32, 4),
  'MatMulNBits block 128, accuracy_level 4': nBits(128, 4),
  'MatMulNBits block 32, accuracy_level 0': nBits(32, 0),
  'MatMulNBits block 128, accuracy_level 0': nBits(128, 0),
  DynamicQuantizeMatMul: {
    operator: () => ({ type: 'DynamicQuantizeMatMul', domain: 'com.microsoft', attributes: {} }),
    constants: ({ n, k }) => [{ type: 'i8', shape: [k, n], bytes: randomBytes(k * n) }, floats([n], 2 ** -6)],
  },
  MatMul: {
    operator: () => ({ type: 'MatMul', domain: '', attributes: {} }),
    constants: ({ n, k }) => [floats([k, n], 2 ** -6)],
  },
} as const satisfies Readonly<Record<string, OnnxProduct>>;

/** Random numbers, uniform up to a size. */
function floats(shape: readonly number[], size: number): Constant {
  const count = shape.reduce((product, extent) => product * extent);
  const data = Float32Array.from({ length: count }, () => size * Math.random());
  return { type: 'f32', shape, bytes: new Uint8Array(data.buffer) };
}

/** A product of ONNX Runtime with so many copies of its weight in turn. */
export async function onnxContender(
  packages: PeerPackages,
  { operator, constants }: OnnxProduct,
  shape: Shape,
  { copies, threads }: { copies: number; threads: number },
): Promise<PeerContender> {
  const { InferenceSession, Tensor } = packages.load(RUNTIME_PACKAGE) as Runtime;
  const { m, n, k } = shape;
  const model = onnxModel(
    operator(shape),
    Array.from({ length: copies }, () => constants(shape)),
    [m, n, k],
  );
  const session = await InferenceSession.create(model, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 3,
  });
  const data = Float32Array.from({ length: m * k }, () => 2 * Math.random() - 1);
  const feeds = { x: new Tensor('float32', data, [m, k]) };
  const running: Promise<unknown>[] = [];
  return {
    period: copies,
    // A run makes the products with all copies.
    enqueue: (index) => {
      if (index % copies === 0) running.push(session.run(feeds));
    },
    settle: async () => {
      await Promise.all(running.splice(0));
    },
    [Symbol.asyncDispose]: () => session.release(),
  };
}
