import type { Device } from './device.js';
import { loadBinding } from './loader.js';
import type { GraphHandle } from './native.js';
import { Resource } from './resource.js';

/** Recorded work that can be run again with one call, on the same memory. */
export class Graph extends Resource {
  readonly device: Device;
  readonly #handle: GraphHandle;

  private constructor(device: Device, handle: GraphHandle) {
    super();
    this.device = device;
    this.#handle = handle;
  }

  /**
   * Records the operations of `body` on the current stream instead of running them. Tensors that it creates hold no
   * values before the first {@link launch}. The graph keeps the memory of its operands alive. `body` must be synchronous,
   * and may not read or write host memory.
   * @throws QutlassError `QUTLASS_E_CAPTURE`
   */
  static capture(device: Device, body: () => void): Graph {
    const native = loadBinding();
    const stream = device.stream.handle;
    native.graphBegin(stream);
    try {
      body();
    } catch (error) {
      // Or the stream would stay in capture, and the memory of what was recorded in use.
      native.graphDestroy(native.graphEnd(stream));
      throw error;
    }
    return new Graph(device, native.graphEnd(stream));
  }

  /** Number of recorded operations. */
  get size(): number {
    this.requireLive('graph');
    return loadBinding().graphNodeCount(this.#handle);
  }

  /** Enqueues all recorded operations on the current stream. */
  launch(): void {
    this.requireLive('graph');
    loadBinding().graphLaunch(this.#handle, this.device.stream.handle);
  }

  protected release(): void {
    loadBinding().graphDestroy(this.#handle);
  }
}
