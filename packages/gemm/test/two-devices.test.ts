import { onCpu, Random } from '@qutlass/test-support';
import { expect, it } from 'vitest';
import { Device, formatByName, Graph, matmul, prepare, quantize, Tensor } from '../src/index.js';
import { failure } from './failure.js';

// Two devices in one process: two GPUs where there are two, else the CPU beside a GPU, or twice with other threads.

const first = Device.default;
const second = secondDevice();

function secondDevice(): Device {
  if (onCpu) return Device.open('cpu', { threads: 3 });
  try {
    return Device.open('cuda:1');
  } catch {
    return Device.open('cpu');
  }
}

const [M, N, K] = [5, 96, 512];
const random = new Random(41);
const activations = random.normals(M * K);
const weights = random.normals(N * K);

/** What a product on one device takes. */
function operandsOn(device: Device, format: string) {
  const a = Tensor.from(activations, { shape: [M, K], dtype: 'bf16', device });
  using w = Tensor.from(weights, { shape: [N, K], dtype: 'bf16', device });
  using q = quantize(w, formatByName(format));
  return { a, weight: prepare(q) };
}

it.each(['nvfp4', 'int4-g128', 'int8-row'])('%s is the same on both, at the same time', async (format) => {
  const devices = [first, second];
  const operands = devices.map((device) => operandsOn(device, format));
  // All are under way before one is waited for.
  const rounds = Array.from({ length: 4 }, () =>
    operands.map(({ a, weight }) => matmul(a, weight, { outDType: 'f32' })),
  );
  const values = await Promise.all(rounds.flat().map((y) => y.toFloat32Array()));
  rounds.flat().forEach((y, i) => {
    expect(y.device).toBe(devices[i % 2]);
    y.dispose();
  });
  const [expected, other] = values;
  values.forEach((actual, i) => {
    expect(actual).toEqual(i % 2 ? other : expected);
  });
  if (first.kind === second.kind) {
    expect(other).toEqual(expected);
  } else {
    const largest = Math.max(...expected!.map(Math.abs));
    expected!.forEach((value, i) => {
      expect(Math.abs(value - other![i]!)).toBeLessThan(largest / 1000);
    });
  }
  for (const { a, weight } of operands) {
    a.dispose();
    weight.dispose();
  }
});

it('operands of both are refused, and take no memory', async () => {
  const here = operandsOn(first, 'nvfp4');
  const there = operandsOn(second, 'nvfp4');
  // What the work so far takes is given back.
  await second.synchronize();
  const before = second.memoryStats().allocations;
  expect(failure(() => matmul(here.a, there.weight))).toMatch(/^QUTLASS_E_ARGUMENT .*(device|on )/);
  expect(failure(() => matmul(there.a, here.weight))).toMatch(/^QUTLASS_E_ARGUMENT .*(device|on )/);
  expect(second.memoryStats().allocations).toBe(before);
  for (const { a, weight } of [here, there]) {
    a.dispose();
    weight.dispose();
  }
});

it('a graph of the second is replayed there', async () => {
  const { a, weight } = operandsOn(second, 'int8-row');
  using direct = matmul(a, weight);
  const expected = await direct.toBytes();
  const made: Tensor[] = [];
  using graph = Graph.capture(second, () => made.push(matmul(a, weight)));
  graph.launch();
  using replayed = made[0]!;
  expect(await replayed.toBytes()).toEqual(expected);
  a.dispose();
  weight.dispose();
});
