import { otherDevice, Random } from '@qutlass/test-support';
import { afterEach, describe, expect, it } from 'vitest';
import { Device } from './device.js';
import { Graph } from './graph.js';
import { loadBinding } from './loader.js';
import { add, rmsNorm, siluMul } from './ops/model.js';
import { scope } from './resource.js';
import { Stream } from './stream.js';
import { Tensor } from './tensor.js';
import { failure, rejection } from './test-support.js';

const device = Device.default;
const f32 = (...values: number[]) => Tensor.from(values, { shape: [values.length], device });

/** Blocks in use once all work has run. */
async function allocations(): Promise<number> {
  await device.synchronize();
  return device.memoryStats().allocations;
}

afterEach(async () => {
  expect(await allocations()).toBe(0);
});

describe('launch', () => {
  it('runs what was recorded, and nothing before', async () => {
    using x = f32(1, 2);
    using y = f32(0, 0);
    using graph = Graph.capture(device, () => {
      loadBinding().add(device.stream.handle, y.handle, x.handle, 1, y.handle);
    });
    expect(graph.size).toBe(1);
    expect(await y.toArray()).toEqual(Float32Array.of(0, 0));
    graph.launch();
    expect(await y.toArray()).toEqual(Float32Array.of(1, 2));
    for (let i = 0; i < 9; i++) graph.launch();
    expect(await y.toArray()).toEqual(Float32Array.of(10, 20));
  });

  it('sees inputs that were written since', async () => {
    using x = f32(1, 2);
    let y!: Tensor<'f32'>;
    using graph = Graph.capture(device, () => {
      y = scope(() => add(x, x));
    });
    for (const values of [
      [1, 2],
      [-3, 0.5],
    ] as const) {
      x.write(Float32Array.of(...values));
      graph.launch();
      expect(Array.from(await y.toArray())).toEqual(values.map((v) => 2 * v));
    }
    y.dispose();
  });

  it('gives the bits of direct execution, every time', async () => {
    const random = new Random(7);
    using x = Tensor.from(random.normals(33 * 70), { shape: [33, 70], dtype: 'bf16', device });
    using weight = Tensor.from(random.normals(70), { shape: [70], device });
    const forward = () =>
      scope(() => {
        const y = rmsNorm(x, weight, 1e-5);
        return add(siluMul(y, x), y, 0.25);
      });
    using direct = forward();
    const expected = await direct.toArray();
    let out!: Tensor<'bf16'>;
    using graph = Graph.capture(device, () => {
      out = forward();
    });
    expect(graph.size).toBe(3);
    for (let i = 0; i < 3; i++) {
      graph.launch();
      expect(await out.toArray()).toEqual(expected);
    }
    out.dispose();
  });

  it('goes to the current stream', async () => {
    using x = f32(1);
    using y = f32(0);
    using graph = Graph.capture(device, () =>
      loadBinding().add(device.stream.handle, y.handle, x.handle, 1, y.handle),
    );
    using stream = new Stream(device);
    await device.synchronize();
    stream.run(() => graph.launch());
    expect(await stream.run(() => y.toArray())).toEqual(Float32Array.of(1));
  });

  it('of an empty graph does nothing', async () => {
    using graph = Graph.capture(device, () => {});
    expect(graph.size).toBe(0);
    graph.launch();
    await device.synchronize();
  });

  it('on a stream of another device is refused', () => {
    const other = otherDevice(Device);
    const native = loadBinding();
    native.graphBegin(other.stream.handle);
    const foreign = native.graphEnd(other.stream.handle);
    expect(failure(() => native.graphLaunch(foreign, device.stream.handle))).toBe(
      'QUTLASS_E_ARGUMENT stream: expected a stream of the device that the graph was captured on',
    );
    native.graphDestroy(foreign);
  });
});

describe('constants', () => {
  it('from copies at once, and no launch changes it', async () => {
    using x = f32(1, 2);
    const host = Float32Array.of(10, 20);
    let y!: Tensor<'f32'>;
    using graph = Graph.capture(device, () => {
      y = scope(() => add(x, Tensor.from(host, { shape: [2], device })));
    });
    host.fill(-1);
    graph.launch();
    graph.launch();
    expect(await y.toArray()).toEqual(Float32Array.of(11, 22));
    y.dispose();
  });

  it('zeros are zeros in each launch; rounded constants too', async () => {
    using x = f32(1, 2);
    let y!: Tensor<'f32'>;
    using graph = Graph.capture(device, () => {
      y = scope(() => {
        const half = Tensor.from([0.5, 0.25], { shape: [2], dtype: 'bf16', device });
        return add(add(Tensor.zeros([2], 'f32', device), x), half);
      });
    });
    graph.launch();
    expect(await y.toArray()).toEqual(Float32Array.of(1.5, 2.25));
    y.dispose();
  });
});

describe('memory', () => {
  it('stays after the tensors are disposed, and goes with the graph', async () => {
    const graph = scope(() => {
      const x = f32(3);
      const y = f32(0);
      return Graph.capture(device, () => {
        const doubled = add(x, x);
        loadBinding().add(device.stream.handle, y.handle, doubled.handle, 1, y.handle);
      });
    });
    expect(await allocations()).toBe(3);
    for (let i = 0; i < 100; i++) graph.launch();
    // A block that was free would be handed out here.
    scope(() => void f32(Number.NaN));
    expect(await allocations()).toBe(3);
    graph.dispose();
    expect(await allocations()).toBe(0);
  });

  it('of a graph disposed while it runs goes when it has run', async () => {
    using y = Tensor.zeros([1 << 16], 'f32', device);
    const graph = Graph.capture(device, () => {
      scope(() => {
        const one = Tensor.from(new Float32Array(1 << 16).fill(1), { shape: [1 << 16], device });
        for (let i = 0; i < 20; i++) {
          loadBinding().add(device.stream.handle, y.handle, one.handle, 1, y.handle);
        }
      });
    });
    graph.launch();
    graph.launch();
    graph.dispose();
    expect(new Set(await y.toArray())).toEqual(new Set([40]));
    expect(await allocations()).toBe(1);
  });

  /** Work of some milliseconds on the current stream. */
  function keepBusy(): void {
    scope(() => {
      const size = device.kind === 'cpu' ? 1 << 20 : 1 << 24;
      const x = Tensor.zeros([size], 'f32', device);
      for (let i = 0; i < 50; i++) add(x, x).dispose();
    });
  }
  const filled = (value: number) =>
    Tensor.from(new Float32Array(4096).fill(value), { shape: [4096], device });

  it('that earlier work reads is not written over by constants', async () => {
    const x = filled(1);
    keepBusy();
    using sum = add(x, x);
    x.dispose();
    let constant!: Tensor<'f32'>;
    using graph = Graph.capture(device, () => {
      constant = filled(-1);
    });
    expect(new Set(await sum.toArray())).toEqual(new Set([2]));
    expect(new Set(await constant.toArray())).toEqual(new Set([-1]));
    expect(graph.size).toBe(0);
    constant.dispose();
  });

  it('freed during a capture stays with the work before it', async () => {
    using other = new Stream(device);
    const x = filled(1);
    await device.synchronize();
    using sum = other.run(() => {
      keepBusy();
      return add(x, x);
    });
    const constants: Tensor<'f32'>[] = [];
    using graph = other.run(() =>
      Graph.capture(device, () => {
        x.dispose();
        device.defaultStream.run(() => constants.push(filled(-1), filled(-1)));
      }),
    );
    expect(new Set(await other.run(() => sum.toArray()))).toEqual(new Set([2]));
    expect(graph.size).toBe(0);
    for (const constant of constants) constant.dispose();
  });

  it('of a failed capture goes at once', async () => {
    using x = f32(1, 2);
    expect(() =>
      Graph.capture(device, () => {
        scope(() => void add(x, x));
        throw new Error('body');
      }),
    ).toThrow('body');
    expect(await allocations()).toBe(1);
  });
});

describe('what a capture refuses', () => {
  const during = (action: () => unknown) => failure(() => void Graph.capture(device, () => void action()));

  it('host memory, synchronization, events and captures inside', async () => {
    using x = f32(1, 2);
    using empty = Graph.capture(device, () => {});
    const event = device.stream.record();
    const refused: [string, () => unknown][] = [
      ['writing host memory', () => x.write(Float32Array.of(3, 4))],
      ['synchronize', () => device.stream.synchronizeSync()],
      ['a host callback', () => device.synchronize()],
      ['recording an event', () => device.stream.record()],
      ['waiting for an event', () => device.stream.wait(event)],
      ['launching a graph', () => empty.launch()],
      ['a second capture', () => Graph.capture(device, () => {})],
    ];
    for (const [operation, action] of refused) {
      expect(during(action)).toBe(`QUTLASS_E_CAPTURE ${operation} cannot be captured into a graph`);
    }
    expect(await x.toArray()).toEqual(Float32Array.of(1, 2));
  });

  it('reading, with a rejection', async () => {
    using x = f32(1, 2);
    const reads: Promise<string>[] = [];
    using graph = Graph.capture(device, () => {
      reads.push(rejection(x.toArray()), rejection(x.toBytes()));
    });
    expect(graph.size).toBe(0);
    expect(await Promise.all(reads)).toEqual(
      Array(2).fill('QUTLASS_E_CAPTURE reading a tensor cannot be captured into a graph'),
    );
  });

  it('after a failure the stream works as before', async () => {
    using x = f32(1, 2);
    using wrong = f32(1, 2, 3);
    expect(during(() => add(x, wrong))).toBe('QUTLASS_E_SHAPE b: expected shape [2], got [3]');
    using sum = add(x, x);
    expect(await sum.toArray()).toEqual(Float32Array.of(2, 4));
    using y = f32(0, 0);
    using graph = Graph.capture(device, () =>
      loadBinding().add(device.stream.handle, x.handle, x.handle, 1, y.handle),
    );
    graph.launch();
    expect(await y.toArray()).toEqual(Float32Array.of(2, 4));
  });

  it('a stream of its own keeps running meanwhile', async () => {
    using x = f32(1, 2);
    using stream = new Stream(device);
    let read!: Promise<Float32Array>;
    using graph = Graph.capture(device, () => {
      read = stream.run(() => x.toArray());
    });
    expect(await read).toEqual(Float32Array.of(1, 2));
    expect(graph.size).toBe(0);
  });
});

it('after dispose every use is refused', () => {
  const graph = Graph.capture(device, () => {});
  graph.dispose();
  graph.dispose();
  expect(failure(() => graph.launch())).toBe('QUTLASS_E_DISPOSED graph: used after dispose()');
  expect(failure(() => graph.size)).toBe('QUTLASS_E_DISPOSED graph: used after dispose()');
});
