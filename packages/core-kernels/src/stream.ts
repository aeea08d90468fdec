import type { Device } from './device.js';
import { invalidArgument } from './errors.js';
import { loadBinding } from './loader.js';
import type { EventHandle, StreamHandle } from './native.js';
import { Resource } from './resource.js';

export interface RecordOptions {
  /** Keep the time at which the stream passes the point, for {@link Event.secondsSince}. Default false. */
  timing?: boolean;
}

/** A point in the work of a stream that other streams can wait for. */
export class Event {
  /** @internal */
  readonly handle: EventHandle;

  /** @internal */
  constructor(handle: EventHandle) {
    this.handle = handle;
  }

  /**
   * Seconds of the device between `start` and this point. Both are recorded with `timing`, on streams of one device that
   * have passed them: await {@link Stream.synchronize} before.
   * @throws QutlassError `QUTLASS_E_ARGUMENT`
   */
  secondsSince(start: Event): number {
    return loadBinding().eventElapsed(start.handle, this.handle);
  }
}

/** A queue of work that runs in order, beside the event loop. */
export class Stream extends Resource {
  readonly device: Device;
  readonly #handle: StreamHandle;

  constructor(device: Device) {
    super();
    this.device = device;
    this.#handle = loadBinding().streamCreate(device.handle);
  }

  /** The native handle, for code that adds operations. @throws QutlassError `QUTLASS_E_DISPOSED` */
  get handle(): StreamHandle {
    this.requireLive('stream');
    return this.#handle;
  }

  /**
   * Operations inside `body` go to this stream. Order between streams is up to the caller: see {@link record} and
   * {@link wait}.
   */
  run<T>(body: () => T): T {
    this.requireLive('stream');
    return this.device.withStream(this, body);
  }

  /** Resolves when all work enqueued so far has run; rejects with the first failure of that work. */
  synchronize(): Promise<void> {
    return loadBinding().streamSynchronize(this.handle);
  }

  /** As {@link synchronize}, blocking the JavaScript thread. */
  synchronizeSync(): void {
    loadBinding().streamSynchronizeBlocking(this.handle);
  }

  /** Marks the end of the work enqueued so far. */
  record({ timing = false }: RecordOptions = {}): Event {
    return new Event(loadBinding().eventRecord(this.handle, Number(timing)));
  }

  /** Work enqueued on this stream from now on waits for the event. */
  wait(event: Event): void {
    loadBinding().streamWait(this.handle, event.handle);
  }

  /** Waits for the work of the stream, then frees it. The default stream of a device cannot be disposed. */
  override dispose(): void {
    if (this === this.device.defaultStream) {
      throw invalidArgument('QUTLASS_E_ARGUMENT', 'stream', 'a stream of your own', 'the default stream');
    }
    super.dispose();
  }

  protected release(): void {
    loadBinding().streamDestroy(this.#handle);
  }
}
