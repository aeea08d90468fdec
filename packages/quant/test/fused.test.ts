import {
  bytesOf,
  type Comparison,
  changed,
  input,
  type OperandSpec,
  operationChecker,
  output,
  Random,
  selected,
} from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { nativeFormat } from '../src/format.js';
import * as qutlass from '../src/index.js';
import {
  DTYPES,
  type FloatDType,
  type Format,
  formatByName,
  hadamard,
  hasGlobalScale,
  identity,
  loadBinding,
  type Rotation,
  rotation,
  type Tensor,
} from '../src/index.js';
import { type Extent, floats, type Parts, partsOf, quantizedHandle, sumsInAnyOrder } from './operands.js';

// Quantizers behind an operation of a model: the bytes of one after the other, whatever a kernel of the device fuses.

const native = loadBinding();
const check = operationChecker<Tensor>(qutlass);
const streamOf = (x: Tensor) => x.device.stream.handle;
const random = new Random(23);
const EPS = 1e-5;

/** The names of the parts that come from the steps one by one. */
const stepwise = (name: string) => `stepwise_${name}`;

const OPERATIONS = ['rmsNorm', 'rmsNorm with residual', 'siluMul'] as const;
type Operation = (typeof OPERATIONS)[number];

interface Case extends Extent {
  readonly dtype: FloatDType;
  readonly by?: Rotation;
  /** Elements off the alignment of a block. */
  readonly offset?: number;
  /** Find the global scale, if the format has one. */
  readonly find?: boolean;
}

/**
 * Sums of squares and exponentials are rounded otherwise on the CPU; that moves few elements to the next bf16, and with the
 * largest one the scale of its group.
 */
const few: Comparison = (a, b) => {
  const differences = a.reduce((sum, byte, i) => sum + (byte === b[i] ? 0 : 1), 0);
  return differences <= 4 + a.length / 200 ? undefined : `${differences} of ${a.length} differ from the CPU`;
};
const near: Comparison = (a, b) => {
  const [x, y] = [a, b].map((bytes) => new Float32Array(Uint8Array.from(bytes).buffer));
  return x!.every((value, i) => Object.is(value, y![i]) || Math.abs(value - y![i]!) <= Math.abs(value) / 100)
    ? undefined
    : `${x} is not near ${y}`;
};

async function checkFused(operation: Operation, format: Format, extent: Case): Promise<void> {
  const { rows, cols, dtype, by = identity(), offset = 0, find = true } = extent;
  const shape = [rows, cols];
  const size = rows * cols;
  const find01 = Number(find && hasGlobalScale(format));
  const x = random.normals(size, operation === 'siluMul' ? 3 : 1);
  if (size > 1000) x.set([Number.NaN, Infinity, 0, 1e-30], size >> 1);
  const second = floats(dtype, shape, random.normals(size), offset);
  const parts = (rename: (name: string) => string): Record<string, OperandSpec> => {
    const own = {
      ...partsOf(format, extent, (_, type, extents) => output(type, extents)),
      ...(hasGlobalScale(format) && {
        globalScale: find01 ? output('f32', [1]) : input('f32', [1], bytesOf('f32', [500])),
      }),
      ...(operation === 'rmsNorm with residual' && {
        residual: changed(dtype, shape, second.bytes as Uint8Array, offset),
      }),
    };
    return Object.fromEntries(Object.entries(own).map(([name, part]) => [rename(name), part]));
  };
  const operands: Record<string, OperandSpec> = {
    x: floats(dtype, shape, x, offset),
    weight: floats(dtype, [cols], random.normals(cols), offset),
    ...(operation === 'siluMul' && { up: second }),
    ...parts((name) => name),
    ...parts(stepwise),
    made: output(dtype, shape),
  };
  const written = Object.keys(parts((name) => name));
  const results = await check(
    operands,
    (all: Parts) => {
      const { x, weight, up, made } = all as Record<string, Tensor>;
      const renamed = Object.fromEntries(written.map((name) => [name, all[stepwise(name)]!]));
      const stream = streamOf(x!);
      const turn = by.native(x!.device);
      const fused = quantizedHandle(format, extent, all);
      if (operation === 'siluMul') {
        native.siluMulQuantize(stream, x!.handle, up!.handle, turn, find01, fused);
        native.siluMul(stream, x!.handle, up!.handle, made!.handle);
      } else {
        const residual = ({ residual }: Parts) => residual?.handle ?? null;
        native.rmsNormQuantize(
          stream,
          ...([x!.handle, residual(all), weight!.handle, EPS, turn, find01, fused] as const),
        );
        native.rmsNorm(stream, x!.handle, residual(renamed), weight!.handle, EPS, made!.handle);
      }
      native.quantize(stream, made!.handle, turn, null, find01, quantizedHandle(format, extent, renamed));
    },
    {
      tolerances: {
        made: { relative: 1e-5, absolute: 1e-30 },
        ...Object.fromEntries(
          written.flatMap((name) => {
            const comparison = operands[name]!.dtype === 'f32' ? near : few;
            return name === 'residual' ? [] : [name, stepwise(name)].map((key) => [key, comparison]);
          }),
        ),
      },
    },
  );
  for (const name of written) {
    if (results[name]) expect([name, results[name]]).toEqual([name, results[stepwise(name)]]);
  }
}

/** Of each kind of element, group and scale. */
const formats = [
  'nvfp4',
  'int8-row',
  'mxfp4-quest',
  'mxfp8',
  'fp8-row',
  'int4-g128-asym-f16',
  'nvfp4-4over6',
  'mxfp4-abs_max',
  'int8-row-asym',
  'int4-row',
  'fp8-1x128',
  'nf4',
  'fp8-128x128',
].map(formatByName);

describe.each(OPERATIONS)('%s', (operation) => {
  it.each(selected(formats, 3))('before $name', async (format) => {
    const bytes = DTYPES[format.scaleDType].bytes === 1;
    const layout = bytes ? 'blocked128x4' : 'row';
    const [one, all] = [
      [1, 1280],
      [131, 640],
    ] as const;
    await checkFused(operation, format, { rows: one[0], cols: one[1], dtype: 'bf16', layout });
    await checkFused(operation, format, { rows: all[0], cols: all[1], dtype: 'bf16', by: hadamard(128) });
    await checkFused(operation, format, { rows: 300, cols: 256, dtype: 'bf16', layout, find: false });
  });

  it.each(selected(['f32', 'f16', 'bf16'] as const, 2))('of %s, off the alignment', async (dtype) => {
    for (const format of selected(['nvfp4', 'fp8-row', 'mxfp8'].map(formatByName), 1))
      await checkFused(operation, format, { rows: 5, cols: 384, dtype, offset: 1 });
  });

  it.each(
    selected(
      [
        [2, 8192],
        [16, 8192],
        [3, 4096],
        [1, 8192],
        [8, 4096],
        [9, 4096],
        [2, 8320],
        [1, 16_384],
        [300, 5120],
        [260, 8192],
        [7, 128],
      ] as const,
      1,
    ),
  )('of [%d, %d]', async (rows, cols) => {
    // Of large matrices, which take seconds each, one with groups and one with rows.
    const names =
      rows * cols > 1e6
        ? ['mxfp4', 'int8-row']
        : ['nvfp4', 'nvfp4-4over6', 'int8-row', 'mxfp4', 'fp8-tensor'];
    for (const format of selected(names.map(formatByName), 2)) {
      const by = cols % 3 === 2 ? hadamard(32, { seed: 4 }) : identity();
      await checkFused(operation, format, { rows, cols, dtype: 'bf16', by });
    }
  });

  it.each(selected([hadamard(64), hadamard(16, { seed: 1 }), hadamard(256), hadamard(512)], 1))(
    'before %s',
    async (by) => {
      for (const format of selected(['mxfp4', 'nvfp4', 'int8-row'].map(formatByName), 1))
        await checkFused(operation, format, { rows: 33, cols: 512, dtype: 'bf16', by });
    },
  );

  it('before a matrix', async () => {
    const by = rotation(random.normals(32 * 32, 32 ** -0.5), 32);
    await checkFused(operation, formatByName('mxfp8'), { rows: 9, cols: 64, dtype: 'bf16', by });
  });
});

describe('quantize finds the global scale', () => {
  const shapes = [
    [1, 4096],
    [16, 8192],
    [3, 8192],
    [5, 4128],
    [17, 8192],
    [1, 16],
    [128, 256],
  ] as const;
  const rotations = [identity(), hadamard(16, { seed: 2 }), hadamard(4096), 64, 24] as const;
  const names = ['nvfp4', 'nvfp4-4over6', 'mxfp4-abs_max'];

  it.each(selected(shapes, 2))('of [%d, %d]', async (rows, cols) => {
    for (const name of selected(names, 1)) {
      for (const turn of selected(rotations, 2)) {
        const by =
          typeof turn === 'number' ? rotation(random.normals(turn * turn, turn ** -0.5), turn) : turn;
        const format = formatByName(name);
        if (cols % by.size !== 0 || cols % Number(format.groupCols) !== 0) continue;
        const values = random.normals(rows * cols);
        values.set([-17, Number.NaN, Infinity, 3e38], 4);
        const extent: Extent = { rows, cols, layout: 'blocked128x4' };
        const parts = partsOf(format, extent, (_, type, shape) => output(type, shape));
        const found = { ...parts, globalScale: output('f32', [1]) };
        const twice = Object.fromEntries(
          Object.entries(found).map(([part, spec]) => [stepwise(part), spec] as const),
        );
        const results = await check(
          { x: floats(rows === 3 ? 'f32' : 'bf16', [rows, cols], values), ...found, ...twice },
          (all: Parts) => {
            const { x } = all as { x: Tensor };
            const renamed = Object.fromEntries(
              Object.keys(found).map((part) => [part, all[stepwise(part)]!]),
            ) as Record<string, Tensor>;
            const turn = by.native(x.device);
            native.quantize(streamOf(x), x.handle, turn, null, 1, quantizedHandle(format, extent, all));
            native.globalScale(
              streamOf(x),
              ...([x.handle, turn, nativeFormat(format), renamed.globalScale!.handle] as const),
            );
            native.quantize(streamOf(x), x.handle, turn, null, 0, quantizedHandle(format, extent, renamed));
          },
          { againstCpu: !sumsInAnyOrder(by) },
        );
        for (const part of Object.keys(found))
          expect([part, results[part]]).toEqual([part, results[stepwise(part)]]);
      }
    }
  });
});
