import {
  type Comparison,
  input,
  type OperandSpec,
  operationChecker,
  output,
  selected,
} from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import * as qutlass from '../src/index.js';
import {
  FORMATS,
  type Format,
  formatByName,
  hadamard,
  hasGlobalScale,
  identity,
  loadBinding,
  mxfp8,
  type Rotation,
  stochastic,
  type Tensor,
} from '../src/index.js';
import { nativeRounding } from '../src/rounding.js';
import { blockedSize } from '../src/scales.js';
import {
  type Extent,
  everyKind,
  FLOATS,
  floats,
  globalScaleOf,
  hasByteScales,
  type Parts,
  partsOf,
  quantizedHandle,
  random,
  randomMatrix,
  rotatedComparisons,
  sumsInAnyOrder,
} from './operands.js';

// What training adds to the quantizers, on memory of every kind, and on other devices as on the CPU, byte for byte.

const native = loadBinding();
const check = operationChecker<Tensor>(qutlass);
const streamOf = (x: Tensor) => x.device.stream.handle;
const i32 = (value: number) => input('i32', [1], new Uint8Array(Int32Array.of(value).buffer));

interface Case {
  readonly format: Format;
  /** Of the result. */
  readonly extent: Extent;
  readonly by?: Rotation;
  /** Rounds stochastically with this draw. */
  readonly draw?: number;
  readonly find?: boolean;
}

const results = ({ format, extent, find }: Case): Readonly<Record<string, OperandSpec>> => ({
  ...(find && hasGlobalScale(format) ? { globalScale: output('f32', [1]) } : globalScaleOf(format)),
  ...partsOf(format, extent, (_, dtype, shape) => output(dtype, shape)),
});

const drawOf = ({ draw }: Case) => (draw === undefined ? {} : { draw: i32(draw) });
const roundingOf = (parts: Parts, device: Tensor['device']) =>
  parts.draw ? nativeRounding(stochastic({ seed: 99, draw: parts.draw as Tensor<'i32'> }), device) : null;

function tolerancesOf({ format, by = identity() }: Case): Readonly<Record<string, Comparison>> {
  return sumsInAnyOrder(by) ? rotatedComparisons(format) : {};
}

async function checkQuantize(x: OperandSpec, test: Case): Promise<void> {
  const { format, extent, by = identity() } = test;
  await check(
    { x, ...drawOf(test), ...results(test) },
    (parts: Parts) => {
      const { device, handle } = parts.x!;
      native.quantize(
        streamOf(parts.x!),
        ...([handle, by.native(device), roundingOf(parts, device), 0] as const),
        quantizedHandle(format, extent, parts),
      );
    },
    { tolerances: tolerancesOf(test) },
  );
}

/** source: the operands of x, and how they are handed over. */
async function checkTransposed(
  source: { operands: Readonly<Record<string, OperandSpec>>; handle: (parts: Parts) => never },
  test: Case,
): Promise<void> {
  const { format, extent, by = identity(), find = false } = test;
  const found: Comparison = (a, b) => {
    const [x, y] = [a, b].map((bytes) => new Float32Array(Uint8Array.from(bytes).buffer)[0]!);
    return Math.abs(x! / y! - 1) < 1e-5 ? undefined : `${x} is not near ${y}`;
  };
  await check(
    { ...source.operands, ...drawOf(test), ...results(test) },
    (parts: Parts) => {
      const { device } = parts.codes!;
      native.quantizeTransposed(
        streamOf(parts.codes!),
        source.handle(parts),
        ...([by.native(device), roundingOf(parts, device), Number(find && hasGlobalScale(format))] as const),
        quantizedHandle(format, extent, parts),
      );
    },
    { tolerances: { ...tolerancesOf(test), ...(sumsInAnyOrder(by) && { globalScale: found }) } },
  );
}

const dense = (x: OperandSpec) => ({
  operands: { x },
  handle: (parts: Parts) => parts.x!.handle as never,
});

const layoutOf = (format: Format) => (hasByteScales(format) ? ('blocked128x4' as const) : ('row' as const));

/** One of each kind of element, scale and group first. */
const few = [
  'mxfp4',
  'mxfp8-e5m2',
  'int4-g128-asym-f16',
  'fp8-128x128',
  'nvfp4-4over6',
  'int8-tensor-asym',
  'nf4',
];
const ordered = [...few.map(formatByName), ...FORMATS.filter(({ name }) => !few.includes(name))];

describe.each(selected(ordered, 7))('stochastically: $name', (format) => {
  const whole = format.groupCols === 'all';
  const shapes: [number, number][] = [
    [131, 640],
    [1, 4096],
    // Tiles that cross rows, and groups that no block holds.
    ...(whole
      ? ([
          [7, 34],
          [300, 24],
          [2, 40_002],
        ] as [number, number][])
      : []),
  ];

  it.each(shapes)('[%d, %d]', async (rows, cols) => {
    const values = format.groupRows === 1 ? everyKind(rows, cols) : random.normals(rows * cols);
    const extent: Extent = { rows, cols, layout: layoutOf(format) };
    const x = floats(FLOATS[rows % 3]!, [rows, cols], values, rows % 2);
    await checkQuantize(x, { format, extent, draw: cols });
  });

  it('behind a rotation', async () => {
    const extent: Extent = { rows: 33, cols: 512 };
    for (const by of selected(
      [hadamard(512, { seed: 1 }), hadamard(64), randomMatrix(32), randomMatrix(128)],
      1,
    )) {
      const x = floats('bf16', [33, 512], random.normals(33 * 512));
      await checkQuantize(x, { format, extent, by, draw: 5 });
    }
  });
});

describe.each(selected(ordered, 7))('transposed: $name', (format) => {
  const group = format.groupCols === 'all' ? 2 : Number(format.groupCols);
  const layout = layoutOf(format);
  // Rows and columns of the result.
  const shapes: [number, number][] = [
    [72, Math.ceil(160 / group) * group],
    [5, group],
    [130, Math.ceil(384 / group) * group],
    [64, 128],
  ];

  it.each(shapes)('[%d, %d]', async (rows, cols) => {
    const values = format.groupRows === 1 ? everyKind(cols, rows) : random.normals(rows * cols);
    for (const dtype of selected(['bf16', 'f32', 'f16'] as const, 1)) {
      for (const offset of [0, 1]) {
        const x = floats(dtype, [cols, rows], values, offset);
        await checkTransposed(dense(x), { format, extent: { rows, cols, layout } });
      }
    }
    const x = floats('bf16', [cols, rows], values);
    await checkTransposed(dense(x), { format, extent: { rows, cols, layout }, draw: 17 });
  });

  it('behind a rotation', async () => {
    const rotations = [
      ...[hadamard(32, { seed: 3 }), hadamard(128), hadamard(256), hadamard(4, { seed: 1 })],
      ...[randomMatrix(16), randomMatrix(32), randomMatrix(64), randomMatrix(128), randomMatrix(48)],
    ];
    for (const [rows, cols] of selected(
      [
        [72, 768],
        [130, 1536],
      ] as const,
      1,
    )) {
      const x = floats('bf16', [cols, rows], random.normals(rows * cols));
      for (const by of selected(rotations, 2)) {
        await checkTransposed(dense(x), { format, extent: { rows, cols }, by });
        if (by.size === 64) await checkTransposed(dense(x), { format, extent: { rows, cols }, by, draw: 2 });
      }
    }
  });

  if (hasGlobalScale(format)) {
    it('finds the global scale', async () => {
      for (const by of selected([identity(), hadamard(16), hadamard(256), randomMatrix(128)], 2)) {
        const [rows, cols] = [200, 768];
        const values = random.normals(rows * cols);
        values.set([Number.NaN, Infinity, -17], 5000);
        const x = floats('bf16', [cols, rows], values);
        await checkTransposed(dense(x), { format, extent: { rows, cols }, by, find: true });
      }
    });
  }
});

describe('requantized', () => {
  const targets = ['mxfp4-abs_max', 'mxfp8-rceil', 'nvfp4', 'int4-g64', 'fp8-128x128', 'int8-row'].map(
    formatByName,
  );

  it.each(selected(ordered, 7))('from $name', async (from) => {
    // Columns of the source in whole groups, odd numbers of chunks among them; rows in groups of all targets.
    const width = from.groupCols === 'all' ? 34 : Number(from.groupCols);
    for (const [sourceRows, sourceCols] of selected(
      [
        [384, 2 * width],
        [128, 5 * width],
      ] as const,
      1,
    )) {
      const source: Extent = { rows: sourceRows, cols: sourceCols, layout: layoutOf(from) };
      const made = await check(
        {
          x: floats('f32', [sourceRows, sourceCols], random.normals(sourceRows * sourceCols)),
          ...globalScaleOf(from),
          ...partsOf(from, source, (_, dtype, shape) => output(dtype, shape)),
        },
        (parts: Parts) =>
          native.quantize(
            streamOf(parts.x!),
            ...([parts.x!.handle, null, null, 0] as const),
            quantizedHandle(from, source, parts),
          ),
      );
      // Named apart from the parts of the result.
      const rename = (name: string) => `from_${name}`;
      const operands: Record<string, OperandSpec> = {
        ...partsOf(from, source, (part, dtype, shape) => input(dtype, shape, made[part]!)),
        ...globalScaleOf(from, 300.7),
      };
      const handle = (parts: Parts) =>
        quantizedHandle(
          from,
          source,
          Object.fromEntries(Object.keys(operands).map((name) => [name, parts[rename(name)]!])),
        ) as never;
      const renamed = Object.fromEntries(
        Object.entries(operands).map(([name, spec]) => [rename(name), spec] as const),
      );
      for (const format of selected(targets, 2)) {
        const extent: Extent = { rows: sourceCols, cols: sourceRows };
        const from = { operands: renamed, handle };
        await checkTransposed(from, { format, extent });
        await checkTransposed(from, { format, extent, draw: 1 });
        for (const by of selected([hadamard(32, { seed: 2 }), randomMatrix(128), hadamard(16)], 1)) {
          await checkTransposed(from, { format, extent, by, find: true });
        }
      }
    }
  });
});

describe('squares', () => {
  const shapes = [
    [96, 160],
    [32, 32],
    [256, 384],
    [64, 2080],
  ] as const;
  const layouts = ['row', 'blocked128x4'] as const;

  it.each(selected(shapes, 2))('[%d, %d]', async (rows, cols) => {
    for (const format of [mxfp8(), mxfp8({ element: 'e5m2', scale: 'rceil' })]) {
      for (const layout of layouts) {
        const extent: Extent = { rows, cols, layout };
        const shape = layout === 'row' ? [cols, rows / 32] : [blockedSize(cols, rows / 32)];
        for (const draw of [undefined, 8]) {
          const test = { format, extent, ...(draw !== undefined && { draw }) };
          await check(
            {
              x: floats(FLOATS[rows % 3]!, [rows, cols], everyKind(rows, cols), draw === undefined ? 0 : 1),
              columnScales: output('f8e8m0', shape, 1),
              ...drawOf(test),
              ...results(test),
            },
            (parts: Parts) =>
              native.quantizeSquares(
                streamOf(parts.x!),
                ...([parts.x!.handle, roundingOf(parts, parts.x!.device)] as const),
                ...([quantizedHandle(format, extent, parts), parts.columnScales!.handle] as const),
              ),
          );
        }
      }
    }
  });
});

describe('the native functions refuse', () => {
  const text = (body: () => unknown) => {
    try {
      body();
    } catch (error) {
      return `${(error as { code: string }).code} ${(error as Error).message}`;
    }
    throw new Error('expected an error');
  };
  const matrix = (format: Format, rows: number, cols: number) => {
    using x = qutlass.Tensor.zeros([rows, cols], 'bf16');
    return qutlass.quantize(x, format);
  };

  it('a kind of rounding that does not exist', () => {
    using x = qutlass.Tensor.zeros([1, 32], 'bf16');
    using q = matrix(mxfp8(), 1, 32);
    const rounding = native.roundingCreate(2, 0, 0, null);
    expect(text(() => native.quantize(streamOf(x), x.handle, null, rounding, 0, q.handle))).toBe(
      'QUTLASS_E_ARGUMENT rounding.kind: expected 0 (nearest) or 1 (stochastic), got 2',
    );
  });

  it('matrices that are not the transpose', () => {
    using x = qutlass.Tensor.zeros([32, 64], 'bf16');
    using q = matrix(mxfp8(), 32, 64);
    for (const from of [x.handle, q.handle]) {
      expect(text(() => native.quantizeTransposed(streamOf(x), from, null, null, 0, q.handle))).toBe(
        'QUTLASS_E_SHAPE x: expected shape [64, 32], got [32, 64]',
      );
    }
  });

  it('what squares do not fit', () => {
    using x = qutlass.Tensor.zeros([64, 32], 'bf16');
    using q = matrix(mxfp8(), 64, 32);
    const squares = (from: Tensor, to: qutlass.QuantizedTensor, scales: Tensor) =>
      text(() => native.quantizeSquares(streamOf(x), from.handle, null, to.handle, scales.handle));
    using right = qutlass.Tensor.zeros([32, 2], 'f8e8m0');
    using wrong = qutlass.Tensor.zeros([64, 1], 'f8e8m0');
    expect(squares(x, q, wrong)).toBe('QUTLASS_E_SHAPE column_scales: expected shape [32, 2], got [64, 1]');
    using bytes = qutlass.Tensor.zeros([32, 2], 'u8');
    expect(squares(x, q, bytes)).toBe('QUTLASS_E_DTYPE column_scales: expected f8e8m0, got u8');
    using four = matrix(formatByName('mxfp4'), 64, 32);
    expect(squares(x, four, right)).toBe(
      'QUTLASS_E_FORMAT out: expected a format of mxfp8, got element 0 under scales in f8e8m0',
    );
    using tall = qutlass.Tensor.zeros([40, 32], 'bf16');
    using ofTall = matrix(mxfp8(), 40, 32);
    expect(squares(tall, ofTall, right)).toBe(
      'QUTLASS_E_SHAPE x: expected rows in whole squares of 32 x 32, got shape [40, 32]',
    );
  });
});
