import { changed, input, operationChecker, output, Random, selected } from '@qutlass/test-support';
import { describe, it } from 'vitest';
import * as qutlass from '../src/index.js';
import { DTYPES, type DType, loadBinding, type Tensor } from '../src/index.js';

// Operations that move data, on memory of every kind; what they compute is tested beside them. Results are bytes.

const native = loadBinding();
const check = operationChecker<Tensor>(qutlass);
const streamOf = (x: Tensor) => x.device.stream.handle;
const random = new Random(7);

const randomBytes = (count: number) => Uint8Array.from({ length: count }, () => random.integer(0, 255));
const dtypes = Object.keys(DTYPES) as DType[];

/** Every pattern of 16 bits, and random ones. */
function patterns(dtype: DType, count: number): Uint8Array {
  const bytes = randomBytes(count * DTYPES[dtype].bytes);
  if (DTYPES[dtype].bytes === 2) {
    bytes.set(new Uint8Array(Uint16Array.from({ length: Math.min(count, 65536) }, (_, i) => i).buffer));
  }
  return bytes;
}

const conversions = dtypes.flatMap((from) =>
  dtypes
    .filter((to) => from === to || ['f32', 'bf16', 'f16'].includes(to))
    .map((to) => ({ from, to, count: 70_001 })),
);

it.each(selected(conversions, 4))('convert $from to $to', async ({ from, to, count }) => {
  const x = patterns(from, count);
  for (const offset of [0, 1]) {
    await check({ x: input(from, [count], x, offset), out: output(to, [count], offset) }, ({ x, out }) =>
      native.convert(streamOf(x), x.handle, out.handle),
    );
  }
});

const matrices = selected(
  (
    [
      [33, 65],
      [1, 1],
      [128, 256],
      [1, 1000],
      [777, 3],
    ] as const
  ).flatMap(([rows, cols]) => (['u8', 'bf16', 'f32'] as const).map((dtype) => ({ dtype, rows, cols }))),
  3,
);

describe.each(matrices)('a matrix of $dtype [$rows, $cols]', ({ dtype, rows, cols }) => {
  const { bytes } = DTYPES[dtype];
  const x = input(dtype, [rows, cols], randomBytes(rows * cols * bytes), 3);

  it('transpose', async () => {
    await check({ x, out: output(dtype, [cols, rows], 1) }, ({ x, out }) =>
      native.transpose(streamOf(x), x.handle, out.handle),
    );
  });

  it.each([
    [rows + 5, cols + 3],
    [rows, cols + 64],
    [Math.max(1, rows >> 1), cols + 1],
    [rows + 1, Math.max(1, cols - 1)],
  ])('pad and crop to [%d, %d]', async (height, width) => {
    await check({ x, out: output(dtype, [height, width], 1) }, ({ x, out }) =>
      native.pad(streamOf(x), x.handle, out.handle),
    );
  });

  it('copyRows', async () => {
    const out = changed(dtype, [rows + 7, cols], randomBytes((rows + 7) * cols * bytes), 1);
    await check({ x, out }, ({ x, out }) => native.copyRows(streamOf(x), x.handle, out.handle, 3));
  });

  it('sliceRows', async () => {
    const tall = input(dtype, [rows + 7, cols], randomBytes((rows + 7) * cols * bytes), 1);
    await check({ tall, out: output(dtype, [rows, cols]) }, ({ tall, out }) =>
      native.sliceRows(streamOf(tall), tall.handle, 2, out.handle),
    );
  });
});

describe.each(selected([1, 5, 64, 1031, 300_001], 4))('%d elements', (count) => {
  it.each(['f32', 'bf16', 'f16', 'u8'] as const)('fill and fillRandom of %s', async (dtype) => {
    for (const offset of [0, 1, 3]) {
      await check({ out: output(dtype, [count], offset) }, ({ out }) =>
        native.fill(streamOf(out), 0x81, out.handle),
      );
      await check({ out: output(dtype, [count], offset) }, ({ out }) =>
        native.fillRandom(streamOf(out), 2 ** 40 + 3, 0.75, out.handle),
      );
    }
  });

  it('checksum', async () => {
    for (const offset of [0, 1, 2]) {
      const x = input('u8', [count], randomBytes(count), offset);
      await check({ x, sum: output('i32', [1]) }, ({ x, sum }) =>
        native.checksum(streamOf(x), x.handle, sum.handle),
      );
    }
  });
});
