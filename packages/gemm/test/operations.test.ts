import {
  bytesOf,
  input,
  type OperandSpec,
  operationChecker,
  output,
  Random,
  selected,
} from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import * as qutlass from '../src/index.js';
import {
  type Accuracy,
  type FloatDType,
  type Format,
  formatByName,
  hadamard,
  type KernelInfo,
  loadBinding,
  nativeFormat,
  QutlassError,
  quantize,
  type Rotation,
  rotation,
  type ScaleLayout,
  scope,
  Tensor,
} from '../src/index.js';
import { failure } from './failure.js';
import { KERNELS } from './operands.js';

// Every kernel on memory of every kind: operands off their alignment between guard zones, poisoned results, another stream,
// graphs. The reference, whose sums are doubles in order, equals that of the CPU bit for bit.

const native = loadBinding();
const check = operationChecker<Tensor>(qutlass);
const random = new Random(23);

type Tensors = Readonly<Record<string, Tensor>>;

/** A matrix of a product. */
interface Operand {
  readonly rows: number;
  readonly parts: Readonly<Record<string, OperandSpec>>;
  /** As the binding takes it, put together from its parts. */
  readonly handle: (tensors: Tensors) => Parameters<typeof native.matmul>[2];
}

/** A float matrix as operand `side`. */
function dense(side: string, dtype: FloatDType, rows: number, cols: number, offset: number): Operand {
  return {
    rows,
    parts: { [side]: input(dtype, [rows, cols], bytesOf(dtype, random.normals(rows * cols)), offset) },
    handle: (tensors) => tensors[side]!.handle,
  };
}

/** A quantized matrix as operand `side`; its parts get the offset as far as their width allows. */
async function quantized(
  side: string,
  format: Format,
  [rows, cols]: readonly [number, number],
  offset: number,
  layout: ScaleLayout | 'tiles' = 'row',
): Promise<Operand> {
  const scaleLayout = layout === 'tiles' ? 'row' : layout;
  using x = Tensor.from(random.normals(rows * cols), { shape: [rows, cols] });
  using plain = quantize(x, format, { scaleLayout });
  using q = layout === 'tiles' ? plain.withTiles() : plain.share();
  const { codes, scales, zeroPoints, globalScale, tiles } = q;
  const tensors = { codes, scales, zeroPoints, globalScale, tiles };
  const parts: Record<string, OperandSpec> = {};
  for (const [part, tensor] of Object.entries(tensors)) {
    if (!tensor) continue;
    parts[`${side}.${part}`] = input(tensor.dtype, tensor.shape, await tensor.toBytes(), offset);
  }
  return {
    rows,
    parts,
    handle: (all) => {
      const part = (name: string) => all[`${side}.${name}`];
      return new qutlass.QuantizedTensor(format, {
        rows,
        cols,
        codes: part('codes')!.share() as Tensor<'u8'>,
        scales: part('scales')!.share() as unknown as qutlass.Scales<ScaleLayout>,
        scaleLayout,
        zeroPoints: part('zeroPoints')?.share() as Tensor<'u8'> | undefined,
        globalScale: part('globalScale')?.share() as Tensor<'f32'> | undefined,
        tiles: part('tiles')?.share() as Tensor<'u8'> | undefined,
      }).handle;
    },
  };
}

/** Checks the product on every kernel that accepts it; returns what these sum in. */
async function checkProduct(
  a: Operand,
  b: Operand,
  {
    by,
    activations,
    out: outDType = 'bf16',
    offset = 0,
    accuracy = 'exact',
  }: {
    by?: Rotation;
    activations?: Format;
    out?: FloatDType;
    offset?: number;
    accuracy?: Accuracy;
  } = {},
): Promise<string[]> {
  const [m, n] = [a.rows, b.rows];
  const operands = {
    ...a.parts,
    ...b.parts,
    alpha: input('f32', [1], bytesOf('f32', [0.75])),
    bias: input('f16', [n], bytesOf('f16', random.normals(n)), offset),
    out: output(outDType, [m, n], offset),
  };
  const accumulators: string[] = [];
  for (const kernel of KERNELS) {
    const enqueue = (tensors: Tensors) => {
      const { device } = tensors.out!;
      const problem = [
        a.handle(tensors),
        b.handle(tensors),
        by?.native(device) ?? null,
        activations ? nativeFormat(activations) : null,
        1.5,
        tensors.alpha!.handle,
        tensors.bias!.handle,
        tensors.out!.handle,
        accuracy === 'exact' ? 0 : 1,
      ] as const;
      const { index } = device.kind === kernel.device ? kernel : reference(device.kind);
      const refusal = native.matmulSupported(index, ...problem);
      if (refusal) throw refusal;
      native.matmul(device.stream.handle, index, ...problem);
    };
    try {
      await check(operands, (tensors) => scope(() => enqueue(tensors)), {
        againstCpu: kernel.accumulator === 'f64' && !by,
      });
      accumulators.push(kernel.accumulator);
    } catch (error) {
      if (error instanceof QutlassError && error.code === 'QUTLASS_E_UNSUPPORTED') continue;
      throw new Error(`${kernel.name}: ${(error as Error).message}`, { cause: error });
    }
  }
  return accumulators;
}

function reference(device: string): KernelInfo {
  return native.kernels().find((kernel) => kernel.device === device && kernel.accumulator === 'f64')!;
}

/** Formats by every width of codes and kind of scale. */
const FORMATS = [
  'nvfp4',
  'mxfp8',
  'int4-g128-asym-f16',
  'mxfp4-abs_max',
  'fp8-row',
  'fp8-128x128',
  'int8-row-asym',
  'nf4',
];
const SHAPES = selected(
  [
    { m: 3, n: 21, k: 128, offset: 1 },
    { m: 1, n: 64, k: 256, offset: 0 },
    { m: 17, n: 66, k: 384, offset: 2 },
    { m: 130, n: 131, k: 128, offset: 3 },
    { m: 65, n: 129, k: 640, offset: 16 },
  ],
  1,
);
const FLOATS = ['f32', 'bf16', 'f16'] as const;

describe.each(SHAPES)('M, N, K = $m, $n, $k, $offset elements off', ({ m, n, k, offset }) => {
  it.each(FLOATS)('%s matrices', async (dtype) => {
    for (const other of FLOATS) {
      const [a, b] = [dense('a', dtype, m, k, offset), dense('b', other, n, k, offset)];
      expect(await checkProduct(a, b, { out: dtype, offset })).toEqual(
        expect.arrayContaining(['f32', 'f64']),
      );
    }
  });

  it.each(FORMATS.map(formatByName))('a float matrix and $name', async (format) => {
    const isBlocked = ['f8e8m0', 'f8e4m3'].includes(format.scaleDType);
    for (const layout of isBlocked ? (['row', 'blocked128x4'] as const) : (['row'] as const)) {
      const a = dense('a', 'bf16', m, k, offset);
      const b = await quantized('b', format, [n, k], offset, layout);
      const sums = expect.arrayContaining(['f32', 'f64']);
      expect(await checkProduct(a, b, { offset })).toEqual(sums);
      expect(await checkProduct(a, b, { by: hadamard(32, { seed: 4 }), out: 'f32' })).toEqual(sums);
    }
  });

  it.each(FORMATS.map(formatByName))('a float matrix and the tiles of $name', async (format) => {
    // Offsets leave tiles off the alignment that their kernel asks for.
    for (const off of new Set([0, offset])) {
      let b: Operand;
      try {
        b = await quantized('b', format, [n, k], off, 'tiles');
      } catch (error) {
        expect(error).toMatchObject({ code: 'QUTLASS_E_UNSUPPORTED' });
        return;
      }
      const a = dense('a', 'bf16', m, k, off);
      for (const accuracy of ['exact', 'int8'] as const) {
        expect(await checkProduct(a, b, { offset: off, accuracy })).toEqual(
          expect.arrayContaining(['f32', 'f64']),
        );
      }
    }
  });

  it.each([
    ['nvfp4', 'nvfp4'],
    ['mxfp4', 'mxfp8'],
    ['mxfp8-e5m2', 'mxfp4-quest'],
    ['fp8-row', 'fp8-row'],
    ['fp8-1x128', 'fp8-128x128'],
    ['int8-row', 'int8-row'],
    ['int8-row-asym', 'int4-g32'],
    ['int4-row', 'int4-g128-asym-f16'],
  ])('%s and %s', async (left, right) => {
    const a = await quantized('a', formatByName(left), [m, k], offset);
    const b = await quantized('b', formatByName(right), [n, k], offset);
    const sums = left.startsWith('int') ? ['i32', 'f64'] : ['f32', 'f64'];
    expect(await checkProduct(a, b, { out: 'f16', offset })).toEqual(expect.arrayContaining(sums));
  });

  it.each([
    ['nvfp4', 'nvfp4'],
    ['mxfp4-abs_max', 'mxfp8'],
    ['fp8-row', 'fp8-row'],
    ['int8-row-asym', 'int4-g32'],
    ['int4-g128-asym-f16', 'int8-row'],
  ])('a float matrix as %s and %s', async (left, right) => {
    const a = dense('a', 'bf16', m, k, offset);
    const b = await quantized('b', formatByName(right), [n, k], offset);
    const sums = expect.arrayContaining(left.startsWith('int') ? ['i32', 'f64'] : ['f32', 'f64']);
    const activations = formatByName(left);
    expect(await checkProduct(a, b, { activations, offset })).toEqual(sums);
    expect(await checkProduct(a, b, { activations, by: hadamard(64), out: 'f32' })).toEqual(sums);
  });

  it('a float matrix rotated by any matrix', async () => {
    const turn = rotation(random.normals(16 * 16, 0.25), 16);
    const a = dense('a', 'f16', m, k, offset);
    const b = dense('b', 'bf16', n, k, offset);
    expect(await checkProduct(a, b, { by: turn })).toEqual(expect.arrayContaining(['f32', 'f64']));
  });
});

describe.each(
  selected(
    [
      { m: 11, n: 64, k: 256, offset: 0 },
      { m: 11, n: 21, k: 128, offset: 1 },
      { m: 70, n: 48, k: 128, offset: 3 },
    ],
    2,
  ),
)('experts with N = $n, $offset elements off', ({ m, n, k, offset }) => {
  // A row before those of the first expert, one after those of the last, and offsets that lead outside.
  const routes = [
    [1, 5, 5, m - 1],
    [-9, m + 100, 3, 2 ** 31 - 1],
  ];
  it.each(['nvfp4', 'int4-g128-asym-f16', 'fp8-128x128', 'int8-row'].map(formatByName))(
    '$name',
    async (format) => {
      for (const layout of ['row', 'tiles'] as const) {
        let b: Operand;
        try {
          b = await quantized('b', format, [3 * n, k], offset, layout);
        } catch (error) {
          expect(error).toMatchObject({ code: 'QUTLASS_E_UNSUPPORTED' });
          continue;
        }
        const a = dense('a', 'bf16', m, k, offset);
        const enqueue = (tensors: Tensors) => {
          const { device } = tensors.out!;
          const [x, w, bias, out] = [a.handle(tensors), b.handle(tensors), tensors.bias!, tensors.out!];
          const problem = [x, w, null, null, 1.5, null, bias.handle, out.handle, 0] as const;
          native.matmulExperts(device.stream.handle, tensors.offsets!.handle, ...problem);
        };
        for (const route of routes) {
          const operands = {
            ...a.parts,
            ...b.parts,
            offsets: input('i32', [route.length], bytesOf('i32', route)),
            bias: input('f16', [3, n], bytesOf('f16', random.normals(3 * n)), offset),
            out: output('bf16', [m, n], offset),
          };
          // Tiles of another device are not those of the CPU, and sums are rounded in another order.
          await check(operands, (tensors) => scope(() => enqueue(tensors)), { againstCpu: false });
        }
      }
    },
  );
});

it('experts that do not fit are refused by the C ABI itself', () => {
  using a = Tensor.zeros([4, 32], 'bf16');
  using b = Tensor.zeros([6, 32], 'bf16');
  using out = Tensor.zeros([4, 3], 'bf16');
  using bias = Tensor.zeros([6], 'bf16');
  using offsets = Tensor.zeros([3], 'i32');
  using few = Tensor.zeros([1], 'i32');
  using many = Tensor.zeros([5], 'i32');
  using floats = Tensor.zeros([3], 'f32');
  const run = (of: Tensor, { bias: added, out: into = out }: { bias?: Tensor; out?: Tensor } = {}) => {
    const problem = [a.handle, b.handle, null, null, 1, null, added?.handle ?? null, into.handle, 0] as const;
    native.matmulExperts(a.device.stream.handle, of.handle, ...problem);
  };
  run(offsets);
  expect(failure(() => run(few))).toBe('QUTLASS_E_SHAPE offsets: expected shape [E + 1], got [1]');
  expect(failure(() => run(many))).toBe(
    'QUTLASS_E_SHAPE b: expected shape [E * N, K] with the E = 4 of offsets, got [6, 32]',
  );
  expect(failure(() => run(floats))).toMatch(/^QUTLASS_E_DTYPE offsets: /);
  expect(failure(() => run(offsets, { bias }))).toMatch(/^QUTLASS_E_SHAPE bias: /);
  expect(failure(() => run(offsets, { out: b }))).toMatch(/^QUTLASS_E_SHAPE out: /);
});
