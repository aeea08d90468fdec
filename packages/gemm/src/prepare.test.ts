import { Random } from '@qutlass/test-support';
import { expect, it } from 'vitest';
import { failure, memoryInUse } from '../test/failure.js';
import { NAMES } from '../test/kernels.js';
import { Device, formatByName, hadamard, matmul, prepare, quantize, scope, Tensor } from './index.js';

const device = Device.default;
const normals = (rows: number, cols: number) =>
  Tensor.from(new Random(rows).normals(rows * cols), { shape: [rows, cols] });

it('shares the memory of a weight in row layout, and has tiles besides', async () => {
  using w = normals(40, 128);
  using a = normals(5, 128);
  const q = quantize(w, formatByName('nvfp4'));
  using expected = matmul(a, q, { kernel: NAMES.reference });
  const before = memoryInUse();
  using p = prepare(q);
  expect(p.weight.tiles?.byteLength).toBeGreaterThan(q.byteLength);
  expect(memoryInUse().allocations).toBe(before.allocations + 1);
  // Both are disposed on their own.
  q.dispose();
  using y = matmul(a, p, { kernel: NAMES.reference });
  expect(await y.toBytes()).toEqual(await expected.toBytes());
});

it.each(['mxfp4', 'mxfp8', 'fp8-row', 'int8-row', 'int4-g128', 'nf4'])('makes tiles of %s', (name) => {
  using w = normals(40, 128);
  using q = quantize(w, formatByName(name));
  const before = memoryInUse();
  using p = prepare(q);
  expect(p.weight.tiles).toBeDefined();
  expect(memoryInUse().allocations).toBe(before.allocations + 1);
});

it('turns blocked scales into rows, and shares the codes', async () => {
  using w = normals(140, 192);
  using a = normals(5, 192);
  for (const name of ['mxfp4', 'nvfp4', 'mxfp8']) {
    using q = quantize(w, formatByName(name), { scaleLayout: 'blocked128x4' });
    using rows = quantize(w, formatByName(name));
    const { allocations } = memoryInUse();
    using p = prepare(q);
    expect(memoryInUse().allocations).toBe(allocations + 1 + Number(p.weight.tiles !== undefined));
    expect(p.weight.scaleLayout).toBe('row');
    expect(await p.weight.scales.toBytes()).toEqual(await rows.scales.toBytes());
    using y = matmul(a, p, { kernel: NAMES.reference });
    using expected = matmul(a, rows, { kernel: NAMES.reference });
    expect(await y.toBytes()).toEqual(await expected.toBytes());
  }
});

it('knows what the weight is', () => {
  using w = normals(40, 128);
  const rotation = hadamard(32);
  using q = quantize(w, formatByName('mxfp4'), { rotation });
  using p = prepare(q);
  expect([p.format, p.device, p.rotation]).toEqual([q.format, device, rotation]);
  expect(p.shape).toEqual([40, 128]);
  expect(p.byteLength).toBe(40 * 128 * (1 / 2 + 1 / 32));
  expect(String(p)).toBe(`PreparedWeight(mxfp4[40, 128], ${device.name})`);
});

it('is kept by a scope as a whole, and gives all memory back', () => {
  const before = memoryInUse();
  const p = scope(() => prepare(quantize(normals(40, 128), formatByName('int4'))));
  using a = normals(5, 128);
  using y = matmul(a, p);
  expect(y.shape).toEqual([5, 40]);
  p.dispose();
  expect(failure(() => matmul(a, p))).toBe('QUTLASS_E_DISPOSED quantized tensor: used after dispose()');
  a.dispose();
  y.dispose();
  expect(memoryInUse()).toEqual(before);
});
