import { Random } from '@qutlass/test-support';
import { expect, it } from 'vitest';
import {
  type FloatDType,
  formatByName,
  type OperandA,
  type OperandB,
  prepare,
  quantize,
  scope,
  Tensor,
} from '../src/index.js';
import { attempt, denseValues, KERNELS } from './operands.js';

// A NaN or an infinity is visible in the results that it takes part in, and in no other.

/** Rows and columns whose results are all NaN; every other result has to be finite. */
async function damaged(y: Tensor<FloatDType>) {
  const [m, n] = y.shape as [number, number];
  const values = await denseValues(y);
  const at = (row: number, col: number) => values[row * n + col] as number;
  const rows = [...Array(m).keys()].filter((row) =>
    values.subarray(row * n, (row + 1) * n).every(Number.isNaN),
  );
  const cols = [...Array(n).keys()].filter((col) =>
    [...Array(m).keys()].every((row) => Number.isNaN(at(row, col))),
  );
  for (let row = 0; row < m; ++row) {
    for (let col = 0; col < n; ++col) {
      if (!rows.includes(row) && !cols.includes(col)) expect(at(row, col)).toSatisfy(Number.isFinite);
    }
  }
  return { rows, cols };
}

async function expectDamage(a: OperandA, b: OperandB, expected: { rows: number[]; cols: number[] }) {
  let accepted = 0;
  for (const kernel of KERNELS) {
    using y = attempt(kernel, a, b);
    if (!y) continue;
    ++accepted;
    expect(await damaged(y), kernel.name).toEqual(expected);
  }
  expect(accepted).toBeGreaterThan(0);
}

function withNaN(rows: number, k: number, at: number | undefined): Tensor<'f32'> {
  const data = new Random(11).normals(rows * k);
  if (at !== undefined) data[at * k + 5] = Number.NaN;
  return Tensor.from(data, { shape: [rows, k] });
}

// One format per kind of scale; the scale of a row or of a group within it becomes NaN.
const formats = [
  'mxfp4',
  'nvfp4',
  'mxfp8',
  'fp8-row',
  'fp8-1x128',
  'int8-row',
  'int4-g128',
  'int4-g32-asym-f16',
].map(formatByName);

it.each(formats)('of a weight in $name stays in its column', async (format) => {
  for (const m of [2, 11]) {
    using w = withNaN(19, 256, 13);
    using q = quantize(w, format);
    using prepared = prepare(q);
    for (const dtype of ['f32', 'bf16'] as const) {
      using a = scope(() => withNaN(m, 256, undefined).to(dtype));
      for (const b of [q, prepared]) await expectDamage(a, b, { rows: [], cols: [13] });
    }
  }
});

it.each(formats)('of both operands in $name stays in its row and column', async (format) => {
  for (const m of [2, 11]) {
    using x = withNaN(m, 256, 1);
    using w = withNaN(19, 256, 13);
    using qx = quantize(x, format);
    using qw = quantize(w, format);
    using prepared = prepare(qw);
    for (const b of [qw, prepared]) await expectDamage(qx, b, { rows: [1], cols: [13] });
  }
});

it.each([
  ['NaN', Number.NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
])('of a float activation, %s, stays in its row', async (_, value) => {
  // Ragged extents: zeros that kernels pad with must not meet the infinity in a result.
  for (const [m, n, k] of [
    [3, 5, 33],
    [11, 19, 257],
  ] as const) {
    const random = new Random(5);
    const data = random.normals(m * k);
    using clean = Tensor.from(data, { shape: [m, k] });
    data[2 * k - 1] = value;
    using a = Tensor.from(data, { shape: [m, k] });
    using b = Tensor.from(random.normals(n * k), { shape: [n, k] });
    const last = await b.toFloat32Array();
    let accepted = 0;
    for (const kernel of KERNELS) {
      using y = attempt(kernel, a, b);
      using expected = attempt(kernel, clean, b);
      if (!y || !expected) continue;
      ++accepted;
      const result = await y.toFloat32Array();
      const rest = await expected.toFloat32Array();
      for (let col = 0; col < n; ++col) rest[n + col] = value * (last[col * k + k - 1] as number);
      expect(result, kernel.name).toEqual(rest);
    }
    expect(accepted).toBeGreaterThan(0);
  }
});
