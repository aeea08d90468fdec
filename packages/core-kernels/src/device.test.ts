import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { onCpu, otherDevice } from '@qutlass/test-support';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Device } from './device.js';
import { doctor } from './doctor.js';
import { loadBinding } from './loader.js';
import { copyRows } from './ops/data.js';
import { add, attention, embedding, rmsNorm } from './ops/model.js';
import { Tensor } from './tensor.js';
import { failure } from './test-support.js';

/** Why there is no GPU, or not that many. */
const NO_DEVICE = [
  'this build has no CUDA kernels',
  'no NVIDIA driver is installed \\(libcuda.so.1 not found\\)',
  'the NVIDIA driver supports CUDA [\\d.]+, expected [\\d.]+ or newer',
  'no GPU is visible \\(CUDA_VISIBLE_DEVICES.*\\)',
  'expected an index below \\d+, the number of visible GPUs',
];

describe('open', () => {
  it('cpu, once', () => {
    const device = Device.open('cpu');
    expect([device.kind, device.name, `${device}`]).toEqual(['cpu', 'cpu', 'cpu']);
    expect(Device.open('cpu')).toBe(device);
    expect(device.stream).toBe(device.defaultStream);
  });

  it('auto is the first GPU, or the CPU with the reason', () => {
    const { available } = doctor().cuda;
    const device = Device.open();
    expect(device).toBe(Device.open('auto'));
    expect(device).toBe(Device.open(available ? 'cuda' : 'cpu'));
    const reason = available ? 'a GPU was found' : failure(() => Device.open('cuda')).replace(/^\w+ /, '');
    expect(device.reason).toBe(`auto: ${reason}`);
  });

  it('auto leaves GPUs alone where the environment says so', () => {
    vi.stubEnv('QUTLASS_DEVICE', 'cpu');
    const device = Device.open('auto');
    vi.unstubAllEnvs();
    expect(device).toBe(Device.open('cpu'));
    expect(device.reason).toBe('auto: QUTLASS_DEVICE=cpu');
  });

  it('a device that was asked for says so', () => {
    expect(Device.open('cpu', { threads: 3 }).reason).toBe('asked for');
  });

  it.each(['cuda', 'cuda:0', 'cuda:1023'] as const)('%s never falls back', (name) => {
    if (doctor().cuda.available && name !== 'cuda:1023') {
      expect(Device.open(name)).toBe(Device.open('cuda:0'));
      expect(Device.open(name)).toMatchObject({ kind: 'cuda', name: 'cuda:0' });
    } else {
      expect(failure(() => Device.open(name))).toMatch(
        new RegExp(
          `^QUTLASS_E_NO_DEVICE device "${name === 'cuda' ? 'cuda:0' : name}": (${NO_DEVICE.join('|')})$`,
        ),
      );
    }
  });

  it.each(['gpu', '', 'CPU', 'cuda:', 'cuda:-1', 'cuda:x', 'cpu:0'])('refuses %j', (name) => {
    expect(failure(() => Device.open(name as 'cpu'))).toBe(
      `QUTLASS_E_ARGUMENT device: expected 'auto', 'cpu', 'cuda' or 'cuda:<index>', got ${JSON.stringify(name)}`,
    );
  });

  it('the library itself refuses names of other devices', () => {
    expect(failure(() => loadBinding().deviceOpen('tpu', 0))).toBe(
      'QUTLASS_E_NO_DEVICE name: expected "cpu" or "cuda:<index>", got "tpu"',
    );
  });
});

describe('the default device', () => {
  const initial = Device.default;
  afterEach(() => Device.setDefault(initial));

  it.runIf(onCpu)('is the CPU at first', () => {
    expect(initial).toBe(Device.open('cpu'));
  });

  it('has the tensors that are made without a device', () => {
    const other = otherDevice(Device);
    Device.setDefault(other);
    expect(Device.default).toBe(other);
    using empty = Tensor.empty([2], 'f32');
    using zeros = Tensor.zeros([2], 'f32');
    using rounded = Tensor.from([1, 2], { shape: [2], dtype: 'bf16' });
    using bytes = Tensor.fromBytes(new Uint8Array(2), { shape: [2], dtype: 'u8' });
    expect([empty, zeros, rounded, bytes].map(({ device }) => device)).toEqual(Array(4).fill(other));
    using elsewhere = Tensor.zeros([2], 'f32', initial);
    using sum = add(elsewhere, elsewhere);
    expect([elsewhere.device, sum.device]).toEqual([initial, initial]);
  });

  it.each(['cpu', null, undefined, {}])('is not %j', (value) => {
    expect(failure(() => Device.setDefault(value as never))).toBe(
      `QUTLASS_E_ARGUMENT device: expected a device of Device.open(), got ${JSON.stringify(value)}`,
    );
    expect(Device.default).toBe(initial);
  });
});

describe.runIf(onCpu)('threads', () => {
  it('are as asked for, in a device of its own', () => {
    const device = Device.open('cpu', { threads: 3 });
    expect(device.info.threads).toBe(3);
    expect(Device.open('cpu', { threads: 3 })).toBe(device);
    expect(Device.open('cpu')).not.toBe(device);
    expect(`${device}`).toBe('cpu with 3 thread(s)');
  });

  it.each([0, -1, 1.5, 1025, Number.NaN])('refuses %d', (threads) => {
    expect(failure(() => Device.open('cpu', { threads }))).toBe(
      `QUTLASS_E_ARGUMENT threads: expected an integer from 1 to 1024, got ${threads}`,
    );
  });

  // The environment is read when a device is opened, so each value needs a process of its own.
  const threadsOf = (value: string | undefined) => {
    const program = `
      import { Device } from ${JSON.stringify(join(import.meta.dirname, '..', 'dist', 'index.js'))};
      try { console.log(Device.open('cpu').info.threads); } catch (e) { console.log(e.code, e.message); }`;
    const { QUTLASS_THREADS: _, ...rest } = process.env;
    const env = value === undefined ? rest : { ...rest, QUTLASS_THREADS: value };
    return execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
      encoding: 'utf8',
      env,
    }).trim();
  };

  it('come from QUTLASS_THREADS by default, or from the machine', () => {
    expect(threadsOf('5')).toBe('5');
    expect(Number(threadsOf(undefined))).toBeGreaterThanOrEqual(availableParallelism());
    expect(threadsOf('many')).toBe(
      'QUTLASS_E_ARGUMENT QUTLASS_THREADS: expected a number from 1 to 1024, got "many"',
    );
  });
});

it('info names the processor and the instruction set', () => {
  const { kind, info } = Device.default;
  const { name, isa, threads } = info;
  expect(name).not.toBe('');
  expect(isa).toMatch(kind === 'cpu' ? /^(amx|avx512(bf16)?|avx2|generic)$/ : /^sm_\d+$/);
  expect(threads).toBeGreaterThan(0);
});

describe('memory', () => {
  const device = Device.default;

  it('stays flat over 10,000 tensors', () => {
    Tensor.empty([1000], 'f32', device).dispose();
    const before = device.memoryStats();
    for (let i = 0; i < 10_000; i++) {
      using t = Tensor.empty([1000], 'f32', device);
      t.reshape([10, 100]).dispose();
    }
    expect(device.memoryStats()).toEqual(before);
  });

  it('counts blocks and bytes', () => {
    device.trimMemory();
    const empty = device.memoryStats();
    const t = Tensor.empty([1 << 20], 'f32', device);
    const used = device.memoryStats();
    expect(used.allocations).toBe(empty.allocations + 1);
    expect(used.allocated - empty.allocated).toBe(4 << 20);
    expect(used.reserved - empty.reserved).toBe(4 << 20);
    expect(used.peak).toBeGreaterThanOrEqual(used.allocated);
    t.dispose();
    const freed = device.memoryStats();
    expect([freed.allocations, freed.allocated]).toEqual([empty.allocations, empty.allocated]);
    expect(freed.reserved).toBe(used.reserved);
    device.trimMemory();
    expect(device.memoryStats().reserved).toBe(empty.reserved);
  });

  it('reserves at most an eighth more than asked for', () => {
    const before = device.memoryStats().allocated;
    for (const bytes of [1, 64, 65, 1000, 4097, 100_003, 1_048_577]) {
      using t = Tensor.empty([bytes], 'u8', device);
      const taken = device.memoryStats().allocated - before;
      expect(taken).toBeGreaterThanOrEqual(bytes);
      expect(taken).toBeLessThan(Math.max(bytes * 1.125, bytes + 64));
      expect(t.byteLength).toBe(bytes);
    }
  });

  it('a size that no machine has is refused, and all goes on', async () => {
    const before = device.memoryStats();
    expect(failure(() => Tensor.empty([2 ** 44], 'f32', device))).toBe(
      `QUTLASS_E_OUT_OF_MEMORY out of memory: ${2 ** 46} bytes asked for, ${before.allocated} bytes of this device in use`,
    );
    expect(failure(() => Tensor.zeros([2 ** 44], 'f32', device))).toBe(
      `QUTLASS_E_OUT_OF_MEMORY out of memory: ${2 ** 46} bytes asked for`,
    );
    // What was cached is given up before memory is said to be out.
    expect(device.memoryStats()).toEqual({ ...before, reserved: before.allocated });
    using t = Tensor.from([1, 2], { shape: [2], device });
    expect(await t.toArray()).toEqual(Float32Array.of(1, 2));
  });
});

it('operands of two devices are refused', () => {
  const here = Device.default;
  const there = otherDevice(Device);
  using a = Tensor.zeros([2, 2], 'f32', here);
  using b = Tensor.zeros([2, 2], 'f32', there);
  using weight = Tensor.zeros([2], 'f32', there);
  using q = Tensor.zeros([1, 1, 2], 'f32', here);
  using cache = Tensor.zeros([1, 1, 2], 'f32', there);
  using ids = Tensor.zeros([1], 'i32', here);
  const text = `QUTLASS_E_ARGUMENT device: expected all operands on ${here}, got one on ${there}`;
  expect(failure(() => add(a, b))).toBe(text);
  expect(failure(() => copyRows(a, b, 0))).toBe(text);
  expect(failure(() => embedding(ids, b, 'f32'))).toBe(text);
  expect(failure(() => rmsNorm(a, weight, 1e-5))).toBe(text);
  expect(failure(() => rmsNorm(a, weight, 1e-5, a))).toBe(text);
  expect(failure(() => attention(q, cache, cache, ids, 1))).toBe(text);
});
