import { otherDevice } from '@qutlass/test-support';
import { describe, expect, it } from 'vitest';
import { Device } from './device.js';
import { add } from './ops/model.js';
import { scope } from './resource.js';
import { Event, Stream } from './stream.js';
import { Tensor } from './tensor.js';
import { failure } from './test-support.js';

const device = Device.default;

/** value + 1, `count` times over, one operation after the other on the current stream. */
function increments(value: Tensor<'f32'>, count: number): Tensor<'f32'> {
  return scope(() => {
    const one = Tensor.from(new Float32Array(value.size).fill(1), { shape: value.shape });
    let sum = add(value, one);
    for (let i = 1; i < count; i++) sum = add(sum, one);
    return sum;
  });
}

/** The different values of a tensor; a comparison of long arrays would take most of the time of a test. */
const distinct = async (x: Tensor<'f32'>) => [...new Set(await x.toArray())];

describe('a stream', () => {
  it('runs its work in order', async () => {
    using start = Tensor.zeros([4096], 'f32');
    using sum = increments(start, 200);
    expect(await distinct(sum)).toEqual([200]);
  });

  it('reads see what was written before them, not after', async () => {
    using t = Tensor.from([0], { shape: [1] });
    const reads: Promise<Float32Array>[] = [];
    for (let i = 1; i <= 50; i++) {
      t.write(Float32Array.of(i));
      reads.push(t.toArray());
    }
    const values = (await Promise.all(reads)).map(([value]) => value);
    expect(values).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  it('synchronizes blocking as well', () => {
    using start = Tensor.zeros([1024], 'f32');
    using sum = increments(start, 50);
    device.stream.synchronizeSync();
    let read = false;
    const values = sum.toArray().then(() => {
      read = true;
    });
    expect(read).toBe(false);
    return values;
  });
});

describe('two streams', () => {
  it('wait orders the one after what the other recorded', async () => {
    using first = new Stream(device);
    using second = new Stream(device);
    for (let round = 0; round < 20; round++) {
      using start = Tensor.zeros([65536], 'f32');
      using made = first.run(() => increments(start, 20));
      const event = first.record();
      expect(event).toBeInstanceOf(Event);
      second.wait(event);
      using sum = second.run(() => increments(made, 1));
      expect(await second.run(() => distinct(sum))).toEqual([21]);
    }
  });

  it('an event of the past holds nobody up', async () => {
    using first = new Stream(device);
    using second = new Stream(device);
    const event = first.record();
    await first.synchronize();
    second.wait(event);
    first.wait(event);
    await Promise.all([first.synchronize(), second.synchronize()]);
  });

  it('a stream goes on after the one that it waits for is gone', async () => {
    const first = new Stream(device);
    using second = new Stream(device);
    using start = Tensor.zeros([65536], 'f32');
    using made = first.run(() => increments(start, 20));
    second.wait(first.record());
    first.dispose();
    expect(await second.run(() => distinct(made))).toEqual([20]);
  });

  it('memory freed on one is not reused while another still reads it', async () => {
    using other = new Stream(device);
    for (let round = 0; round < 10; round++) {
      using start = Tensor.zeros([65536], 'f32');
      await device.synchronize();
      const made = other.run(() => increments(start, 10));
      const values = other.run(() => distinct(made));
      made.dispose();
      using reused = Tensor.from(new Float32Array(65536).fill(-1), { shape: [65536] });
      expect(await values).toEqual([10]);
      expect(reused.disposed).toBe(false);
    }
  });
});

describe('run', () => {
  it('nests, and returns to the stream before, also after a failure', () => {
    using outer = new Stream(device);
    using inner = new Stream(device);
    expect(device.stream).toBe(device.defaultStream);
    const result = outer.run(() => {
      expect(device.stream).toBe(outer);
      inner.run(() => expect(device.stream).toBe(inner));
      expect(device.stream).toBe(outer);
      expect(() =>
        inner.run(() => {
          throw new Error('body');
        }),
      ).toThrow('body');
      expect(device.stream).toBe(outer);
      return 7;
    });
    expect(result).toBe(7);
    expect(device.stream).toBe(device.defaultStream);
  });

  it('of one device leaves the other devices alone', () => {
    const other = otherDevice(Device);
    using stream = new Stream(device);
    stream.run(() => expect(other.stream).toBe(other.defaultStream));
  });
});

describe('after dispose', () => {
  const disposed = 'QUTLASS_E_DISPOSED stream: used after dispose()';

  it('every use is refused', () => {
    const stream = new Stream(device);
    using live = new Stream(device);
    const event = stream.record();
    stream.dispose();
    stream.dispose();
    expect(failure(() => stream.handle)).toBe(disposed);
    expect(failure(() => stream.run(() => 1))).toBe(disposed);
    expect(failure(() => stream.synchronize())).toBe(disposed);
    expect(failure(() => stream.synchronizeSync())).toBe(disposed);
    expect(failure(() => stream.record())).toBe(disposed);
    expect(failure(() => stream.wait(event))).toBe(disposed);
    live.wait(event);
    live.synchronizeSync();
  });

  it('a stream destroyed while it is the current one refuses operations', () => {
    using x = Tensor.zeros([2], 'f32');
    const stream = new Stream(device);
    stream.run(() => {
      stream.dispose();
      expect(failure(() => x.to('bf16'))).toBe(disposed);
      expect(failure(() => x.write(new Float32Array(2)))).toBe(disposed);
    });
    expect(device.stream).toBe(device.defaultStream);
  });

  it('waits for its work first', async () => {
    const stream = new Stream(device);
    using start = Tensor.zeros([65536], 'f32');
    await device.synchronize();
    using sum = stream.run(() => increments(start, 30));
    stream.dispose();
    expect(await distinct(sum)).toEqual([30]);
  });

  it('the default stream stays', () => {
    expect(failure(() => device.defaultStream.dispose())).toBe(
      'QUTLASS_E_ARGUMENT stream: expected a stream of your own, got the default stream',
    );
    expect(device.defaultStream.disposed).toBe(false);
    device.defaultStream.synchronizeSync();
  });
});

describe('time between events', () => {
  it('is that of the work between them', async () => {
    using start = Tensor.zeros([1 << 20], 'f32');
    const first = device.stream.record({ timing: true });
    using sum = increments(start, 20);
    const second = device.stream.record({ timing: true });
    await device.synchronize();
    expect(second.secondsSince(first)).toBeGreaterThan(1e-6);
    expect(first.secondsSince(first)).toBe(0);
    expect(await distinct(sum)).toEqual([20]);
  });

  it('needs events that measure', async () => {
    const plain = device.stream.record();
    const timed = device.stream.record({ timing: true });
    await device.synchronize();
    expect(failure(() => timed.secondsSince(plain))).toBe(
      'QUTLASS_E_ARGUMENT start: expected an event recorded with timing',
    );
    expect(failure(() => plain.secondsSince(timed))).toBe(
      'QUTLASS_E_ARGUMENT end: expected an event recorded with timing',
    );
  });
});
