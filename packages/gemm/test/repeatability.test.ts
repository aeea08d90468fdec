import { createHash } from 'node:crypto';
import { onCpu, Random } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import {
  Device,
  formatByName,
  Graph,
  hadamard,
  matmul,
  type OperandA,
  type OperandB,
  quantize,
  type Resource,
  Stream,
  Tensor,
} from '../src/index.js';
import { attempt, KERNELS } from './operands.js';

// Same inputs, device and kernel: same bits, whatever the number of threads, what the memory held before, on which stream,
// and whether the product runs by itself or from a graph.

interface Recipe {
  readonly name: string;
  readonly m: number;
  /** Format of a, or none. */
  readonly a?: string;
  /** Format of b, or none. */
  readonly b?: string;
  readonly rotated?: boolean;
}

const RECIPES: readonly Recipe[] = [
  { name: 'float vector', m: 1 },
  { name: 'float matrices', m: 37 },
  { name: 'nvfp4 weight, vector', m: 1, b: 'nvfp4' },
  { name: 'nvfp4 weight, rotated', m: 37, b: 'nvfp4', rotated: true },
  { name: 'int4 weight with zero points', m: 37, b: 'int4-g128-asym' },
  { name: 'mxfp4 x mxfp8', m: 37, a: 'mxfp4', b: 'mxfp8' },
  { name: 'fp8, vector', m: 2, a: 'fp8-row', b: 'fp8-row' },
  { name: 'int8, vector', m: 2, a: 'int8-row', b: 'int8-row' },
  { name: 'int8 x int4, groups of both', m: 37, a: 'int8-row-asym', b: 'int4-g32' },
];
const [N, K] = [203, 640];

/** The operands of a recipe, equal on all devices. */
function cook({ m, a, b, rotated }: Recipe, device: Device) {
  const random = new Random(99);
  const matrix = (rows: number) => Tensor.from(random.normals(rows * K), { shape: [rows, K], device });
  const options = rotated ? { rotation: hadamard(64) } : {};
  const [x, w] = [matrix(m), matrix(N)];
  const left: OperandA = a === undefined ? x : quantize(x, formatByName(a), options);
  const right: OperandB = b === undefined ? w : quantize(w, formatByName(b), options);
  const bias = Tensor.from(random.normals(N), { shape: [N], device });
  const alpha = Tensor.from([0.75], { shape: [1], device });
  const owned = new Set<Resource>([x, w, left, right, bias, alpha]);
  return {
    multiply: (kernel: (typeof KERNELS)[number]) => attempt(kernel, left, right, { bias, alpha }),
    [Symbol.dispose]: () => {
      for (const resource of owned) resource.dispose();
    },
  };
}

async function digest(y: Tensor): Promise<string> {
  return createHash('sha256')
    .update(await y.toBytes())
    .digest('hex');
}

/** A digest of the result of every kernel that accepts the recipe, by its name. */
async function results(
  recipe: Recipe,
  device: Device,
  { stream = device.defaultStream, prepare = () => {} }: { stream?: Stream; prepare?: () => void } = {},
) {
  using problem = stream.run(() => cook(recipe, device));
  const digests = new Map<string, string>();
  for (const kernel of KERNELS) {
    prepare();
    using y = stream.run(() => problem.multiply(kernel));
    if (y) digests.set(kernel.name, await stream.run(() => digest(y)));
  }
  expect(digests.size).toBeGreaterThan(1);
  return digests;
}

const LARGEST_BLOCK = 2 ** 19;

/** Fills freed memory of the device, several blocks of every size up to LARGEST_BLOCK, with NaN. */
function poison(device: Device): void {
  const blocks: Tensor[] = [];
  for (let step = 64; step * 8 <= LARGEST_BLOCK; step *= 2) {
    for (let count = step === 64 ? 1 : 9; count <= 16; ++count) {
      const bytes = new Uint8Array(step * count).fill(0xff);
      for (let i = 0; i < 3; ++i) {
        blocks.push(Tensor.fromBytes(bytes, { shape: [bytes.length], dtype: 'u8', device }));
      }
    }
  }
  for (const block of blocks) block.dispose();
}

describe.each(RECIPES)('$name', (recipe) => {
  const device = Device.default;

  it('gives the same bits in every run', async () => {
    const first = await results(recipe, device);
    for (let run = 0; run < 3; ++run) expect(await results(recipe, device)).toEqual(first);
  });

  it.runIf(onCpu)('gives the same bits with one thread', async () => {
    const single = Device.open('cpu', { threads: 1 });
    const three = Device.open('cpu', { threads: 3 });
    expect([single.info.threads, three.info.threads]).toEqual([1, 3]);
    const expected = await results(recipe, single);
    expect(await results(recipe, three)).toEqual(expected);
    expect(await results(recipe, device)).toEqual(expected);
  });

  it('gives the same bits on another stream, beside work on the first', async () => {
    const expected = await results(recipe, device);
    using stream = new Stream(device);
    using busy = Tensor.zeros([512, 512], 'f32', device);
    await device.synchronize();
    for (let i = 0; i < 20; ++i) matmul(busy, busy).dispose();
    expect(await results(recipe, device, { stream })).toEqual(expected);
  });

  it('gives the same bits when a graph is replayed', async () => {
    const expected = await results(recipe, device);
    using problem = cook(recipe, device);
    for (const kernel of KERNELS) {
      let y: Tensor | undefined;
      using graph = Graph.capture(device, () => {
        y = problem.multiply(kernel);
      });
      expect(y !== undefined).toBe(expected.has(kernel.name));
      if (!y) continue;
      for (let run = 0; run < 3; ++run) {
        graph.launch();
        expect(await digest(y), kernel.name).toEqual(expected.get(kernel.name));
      }
      y.dispose();
    }
  });

  it('overwrites all of its result, and reads nothing that it has not written', async () => {
    const expected = await results(recipe, device);
    expect(await results(recipe, device, { prepare: () => poison(device) })).toEqual(expected);
  });
});

it('poisoned memory is the memory that results are given', async () => {
  const device = Device.default;
  poison(device);
  using y = Tensor.empty([37, N], 'f32', device);
  expect([...(await y.toFloat32Array())].every(Number.isNaN)).toBe(true);
});
