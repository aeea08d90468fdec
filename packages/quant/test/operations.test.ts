import {
  type Comparison,
  input,
  type OperandSpec,
  operationChecker,
  output,
  selected,
  valuesOf,
} from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { nativeFormat } from '../src/format.js';
import * as qutlass from '../src/index.js';
import {
  DTYPES,
  ELEMENTS,
  type Element,
  type FloatDType,
  FORMATS,
  type Format,
  formatByName,
  hadamard,
  identity,
  loadBinding,
  type Rotation,
  type Tensor,
} from '../src/index.js';
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
  randomBytes,
  randomMatrix,
  rotatedComparisons,
  sumsInAnyOrder,
} from './operands.js';

// Quantizers and codecs on memory of every kind, and on other devices as on the CPU, byte for byte. Only rotations on tensor
// cores sum in no fixed order, which may move an element across the border between two codes.

const native = loadBinding();
const check = operationChecker<Tensor>(qutlass);
const streamOf = (x: Tensor) => x.device.stream.handle;
// ---- quantized matrices

async function checkQuantize(
  format: Format,
  extent: Extent,
  x: OperandSpec,
  by: Rotation = identity(),
  codesOffset = 0,
): Promise<Readonly<Record<string, Uint8Array>>> {
  return check(
    {
      x,
      ...globalScaleOf(format),
      ...partsOf(format, extent, (part, dtype, shape) =>
        output(dtype, shape, part === 'codes' ? codesOffset : 0),
      ),
    },
    (parts: Parts) => {
      const input = parts.x!;
      const out = quantizedHandle(format, extent, parts);
      native.quantize(streamOf(input), input.handle, by.native(input.device), null, 0, out);
    },
    { tolerances: sumsInAnyOrder(by) ? rotatedComparisons(format) : {} },
  );
}

/** Dequantizes what a quantizer made, or any bytes. */
async function checkDequantize(
  format: Format,
  extent: Extent,
  bytes: Readonly<Record<string, Uint8Array>>,
  dtype: FloatDType,
  by: Rotation = identity(),
): Promise<void> {
  const { clipMask: _, ...parts } = partsOf(format, extent, (part, type, shape) =>
    input(type, shape, bytes[part]!, part === 'codes' ? 2 : 0),
  );
  const shape = [extent.rows, extent.cols];
  await check(
    { ...parts, ...globalScaleOf(format, 300.7), out: output(dtype, shape, 1) },
    (parts: Parts) => {
      const out = parts.out!;
      native.dequantize(
        streamOf(out),
        quantizedHandle(format, extent, parts),
        by.native(out.device),
        out.handle,
      );
    },
    // Sums of values of some 10.
    by.kind === 'identity' ? {} : { tolerances: { out: closeRows(dtype, extent.cols, 2e-5) } },
  );
}

/** Within c times the largest finite number of the row, and a unit in the last place of narrow dtypes. */
function closeRows(dtype: FloatDType, cols: number, c: number): Comparison {
  const last = { f32: 0, bf16: 2 ** -7, f16: 2 ** -10 }[dtype];
  return (expected, actual) => {
    const [x, y] = [Array.from(valuesOf(dtype, expected)), valuesOf(dtype, actual)];
    for (let row = 0; row < x.length; row += cols) {
      const values = x.slice(row, row + cols);
      const largest = Math.max(0, ...values.map(Math.abs).filter(Number.isFinite));
      const far = values.findIndex((value, i) => {
        const other = y[row + i]!;
        return !Object.is(value, other) && !(Math.abs(value - other) <= c * largest + last * Math.abs(value));
      });
      if (far >= 0)
        return `element ${row + far}: expected ${values[far]}, got ${y[row + far]}, of ${largest} at most`;
    }
    return undefined;
  };
}

// ---- the tests

const [ROWS, COLS] = [131, 640];
const normals = random.normals(ROWS * COLS);
const ofEveryKind = everyKind(ROWS, COLS);
/** One of each kind of element, scale and group first. */
const few = [
  'mxfp4',
  'mxfp4-quest',
  'nvfp4',
  'mxfp8',
  'fp8-128x128',
  'int8-tensor-asym',
  'int4-g128-asym-f16',
  'nf4',
];
const ordered = [...few.map(formatByName), ...FORMATS.filter(({ name }) => !few.includes(name))];
const variants = ordered.flatMap((format, i) =>
  (['row', ...(hasByteScales(format) ? ['blocked128x4' as const] : [])] as const).map((layout) => ({
    name: `${format.name}, ${layout}`,
    ...{ format, layout, turn: i },
  })),
);

describe.each(selected(variants, 11))('$name', ({ format, layout, turn }) => {
  const extent: Extent = { rows: ROWS, cols: COLS, layout };
  const dtype = (i: number) => FLOATS[(turn + i) % 3]!;
  // Where a group spans rows, a NaN would be all that is left.
  const values = format.groupRows === 1 ? ofEveryKind : normals;
  const shape = [ROWS, COLS];

  it('quantizes, and dequantizes what it made', async () => {
    const made = await checkQuantize(format, extent, floats(dtype(0), shape, values));
    for (const to of selected(FLOATS, 1)) await checkDequantize(format, extent, made, to);
    const clean = await checkQuantize(format, extent, floats(dtype(1), shape, normals, 3), identity(), 1);
    await checkDequantize(format, extent, clean, dtype(2), hadamard(turn % 2 ? 128 : 32, { seed: 5 }));
    await checkDequantize(format, extent, clean, 'f32', randomMatrix(turn % 2 ? 64 : 20));
  });

  it('dequantizes any bytes', async () => {
    const parts = partsOf(format, extent, (_, type, extents) =>
      input(type, extents, randomBytes(extents.reduce((x, y) => x * y, DTYPES[type as 'f32'].bytes))),
    );
    const bytes = Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part.bytes!]));
    await checkDequantize(format, extent, bytes, dtype(0));
  });

  it('rotates on the way', async () => {
    const signs = turn % 2 ? { seed: 3 } : {};
    await checkQuantize(format, extent, floats('f32', shape, values, 1), hadamard(128, signs));
    const size = [16, 32, 64, 128, 20, 5][turn % 6]!;
    await checkQuantize(format, extent, floats(dtype(1), shape, normals), randomMatrix(size));
  });
});

describe.each(selected(ordered, 2))('shapes of $name', (format) => {
  const shapes: [number, number][] = [
    [1, 128],
    [257, 384],
    [128, 128],
    [1, 4096],
  ];
  // Rows of any length, and such that no block of threads holds.
  if (format.groupCols === 'all') shapes.push([5, 18], [300, 34], [9, 4104], [3, 20_000], [2, 40_002]);
  if (format.groupCols === 'all' && ELEMENTS[format.element].bits === 8) shapes.push([7, 17]);

  it.each(shapes)('[%d, %d]', async (rows, cols) => {
    const layout = hasByteScales(format) ? 'blocked128x4' : 'row';
    const dtype = FLOATS[(rows + cols) % 3]!;
    const x = floats(dtype, [rows, cols], random.normals(rows * cols), rows % 4);
    await checkQuantize(format, { rows, cols, layout }, x);
  });
});

describe('rotations of any size', () => {
  const names = ['mxfp4', 'mxfp4-quest', 'nvfp4', 'nvfp4-4over6', 'fp8-row', 'fp8-128x128', 'int8-row-asym'];

  it.each(selected(names, 1))('before %s', async (name) => {
    const format = formatByName(name);
    const quantized = async (by: Rotation, rows: number, cols: number) => {
      const x = floats(by.size % 3 ? 'bf16' : 'f32', [rows, cols], random.normals(rows * cols));
      await checkQuantize(format, { rows, cols }, x, by);
    };
    for (const size of selected([16, 2, 4, 8, 32, 64, 256, 512, 1024, 2048, 4096, 8192, 16_384], 1)) {
      const by = size === 64 ? hadamard(size) : hadamard(size, { seed: size });
      await quantized(by, size > 4096 ? 3 : 21, size > 384 ? size : 768);
    }
    for (const size of selected([16, 32, 64, 128, 96, 384], 1)) await quantized(randomMatrix(size), 37, 384);
  });

  it.each(selected(['fp8-row', 'int8-row', 'int4-row'], 1))('before %s of long rows', async (name) => {
    const format = formatByName(name);
    for (const [rows, cols, by] of selected(
      [
        [2, 30_720, hadamard(512, { seed: 1 })],
        [3, 65_536, hadamard(16_384, { seed: 1 })],
        [2, 40_960, randomMatrix(128)],
      ] as const,
      1,
    )) {
      await checkQuantize(
        format,
        { rows, cols },
        floats('bf16', [rows, cols], random.normals(rows * cols)),
        by,
      );
    }
  });

  const alone = [
    ...[2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384].map((size) =>
      hadamard(size, size % 3 === 1 ? {} : { seed: size }),
    ),
    ...[1, 3, 16, 32, 64, 128, 130, 256].map(randomMatrix),
  ];
  it.each(selected(alone, 4).map((by, i) => [String(by), by, i] as const))('%s', async (_, by, i) => {
    const [rows, cols] = by.size > 1000 ? [5, by.size] : [77, 3 * by.size];
    const [from, to] = [FLOATS[i % 3]!, FLOATS[Math.floor(i / 3) % 3]!];
    const values = by.kind === 'matrix' ? random.normals(rows * cols) : everyKind(rows, cols);
    await check(
      { x: floats(from, [rows, cols], values, 1), out: output(to, [rows, cols]) },
      ({ x, out }) => native.rotate(streamOf(x), x.handle, by.native(x.device)!, out.handle),
      { tolerances: { out: closeRows(to, cols, sumsInAnyOrder(by) ? 1e-5 : 0) } },
    );
  });

  it.each(
    selected([identity(), hadamard(32, { seed: 2 }), hadamard(1024, { seed: 2 }), randomMatrix(24)], 2),
  )('before the global scale: %s', async (by) => {
    for (const format of ['nvfp4', 'nvfp4-4over6', 'mxfp4-abs_max'].map(formatByName)) {
      for (const [deviation, rows] of selected(
        [
          [1, 70],
          [1, 1],
          [0, 70],
          [1e-39, 70],
        ] as const,
        2,
      )) {
        const values = random.normals(rows * 3072, deviation);
        if (rows > 1 && deviation === 1) {
          values.set([Number.NaN, Infinity, -17], 5000);
        }
        await check(
          { x: floats(deviation === 1e-39 ? 'f32' : 'bf16', [rows, 3072], values), out: output('f32', [1]) },
          ({ x, out }) =>
            native.globalScale(
              streamOf(x),
              ...([x.handle, by.native(x.device), nativeFormat(format), out.handle] as const),
            ),
          sumsInAnyOrder(by) ? { tolerances: { out: { relative: 1e-5, absolute: 0 } } } : {},
        );
      }
    }
  });
});

it('a NaN anywhere makes the only group of a tensor NaN', async () => {
  for (const format of FORMATS.filter(({ groupRows }) => groupRows === 'all')) {
    const values = random.normals(64 * 256);
    values[5000] = Number.NaN;
    const { scales } = await checkQuantize(
      format,
      { rows: 64, cols: 256 },
      floats('bf16', [64, 256], values),
    );
    expect(Array.from(valuesOf(format.scaleDType, scales!))).toEqual([Number.NaN]);
  }
});

describe('codecs', () => {
  it.each(Object.keys(ELEMENTS) as Element[])('encode to and decode from %s', async (element) => {
    // All upper halves of float32, with the lower halves that decide ties.
    const halves = [0, 1, 0x7fff, 0x8000, 0xffff];
    const words = Uint32Array.from({ length: 65536 * 5 }, (_, i) => (i / 5) * 65536 + halves[i % 5]!);
    for (const [i, low] of words.entries()) words[i] = ((Math.floor(i / 5) << 16) | (low & 0xffff)) >>> 0;
    const x = input('f32', [words.length], new Uint8Array(words.buffer), 1);
    await check({ x, out: output('u8', x.shape, 3) }, ({ x, out }) =>
      native.encode(streamOf(x), x.handle, ELEMENTS[element].id, out.handle),
    );
    const codes = input(
      'u8',
      [259],
      Uint8Array.from({ length: 259 }, (_, i) => i),
      1,
    );
    await check({ codes, out: output('f32', [259], 1) }, ({ codes, out }) =>
      native.decode(streamOf(codes), codes.handle, ELEMENTS[element].id, out.handle),
    );
  });

  it.each([
    [1, 2],
    [3, 26],
    [64, 512],
    [1000, 6],
  ])('pack and unpack [%d, %d]', async (rows, cols) => {
    for (const offset of [0, 1]) {
      const codes = input('u8', [rows, cols], randomBytes(rows * cols), offset);
      await check({ codes, out: output('u8', [rows, cols / 2], offset) }, ({ codes, out }) =>
        native.pack4(streamOf(codes), codes.handle, out.handle),
      );
      const packed = input('u8', [rows, cols / 2], randomBytes((rows * cols) / 2), offset);
      for (const sign of [0, 1]) {
        await check({ packed, out: output('i8', [rows, cols], offset) }, ({ packed, out }) =>
          native.unpack4(streamOf(packed), packed.handle, sign, out.handle),
        );
      }
    }
  });

  it.each([
    [1, 1],
    [128, 4],
    [129, 5],
    [31, 3],
    [300, 66],
    [1000, 7],
  ])('blocked scales of [%d, %d]', async (rows, groups) => {
    const size = blockedSize(rows, groups);
    const scales = input('u8', [rows, groups], randomBytes(rows * groups), 1);
    await check({ scales, out: output('u8', [size], 2) }, ({ scales, out }) =>
      native.scalesToBlocked(streamOf(scales), scales.handle, out.handle),
    );
    const blocked = input('u8', [size], randomBytes(size), 1);
    await check({ blocked, out: output('u8', [rows, groups]) }, ({ blocked, out }) =>
      native.scalesFromBlocked(streamOf(blocked), blocked.handle, out.handle),
    );
  });

  it.each(FLOATS)('quantizeInt8WithScale of %s', async (dtype) => {
    for (const [rows, cols] of selected(
      [
        [33, 40],
        [1, 1],
        [70, 17],
        [500, 3],
      ] as const,
      1,
    )) {
      for (const count of [1, rows]) {
        const scales = random.normals(count).map((x) => Math.abs(x) * 0.02 + 1e-4);
        if (count > 4) scales.set([0, Number.NaN], 2);
        const x = floats(dtype, [rows, cols], everyKind(rows, cols), 1);
        const scale = floats(dtype, [count], scales);
        await check({ x, scale, out: output('i8', [rows, cols], 3) }, ({ x, scale, out }) =>
          native.quantizeInt8WithScale(streamOf(x), x.handle, scale.handle, out.handle),
        );
      }
    }
  });
});
