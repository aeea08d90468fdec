import { invalidArgument, QutlassError } from './errors.js';
import { loadBinding } from './loader.js';
import type { DeviceHandle, MemoryStats, NativeDeviceInfo } from './native.js';
import { unscoped } from './resource.js';
import { Stream } from './stream.js';

export type DeviceKind = 'cpu' | 'cuda';

/** `cpu`, `cuda`, `cuda:<index>`, or `auto` for the best that there is. */
export type DeviceName = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

export interface DeviceOptions {
  /** Threads of the CPU kernels; default: the environment variable QUTLASS_THREADS, or one per hardware thread. */
  threads?: number;
}

const opened = new Map<string, Device>();
let preferred: Device | undefined;

/** A processor with memory, streams and kernels. */
export class Device {
  readonly kind: DeviceKind;
  /** `cpu` or `cuda:0`. */
  readonly name: string;
  /** @internal */
  readonly handle: DeviceHandle;
  readonly defaultStream: Stream;
  #reason = 'asked for';
  readonly #threads: number;
  #current: Stream;

  private constructor(name: string, threads: number) {
    this.kind = name === 'cpu' ? 'cpu' : 'cuda';
    this.name = name;
    this.#threads = threads;
    this.handle = loadBinding().deviceOpen(name, threads);
    this.defaultStream = unscoped(() => new Stream(this));
    this.#current = this.defaultStream;
  }

  /**
   * Opens a device, or returns it if it is open. `cuda` never falls back to the CPU; `auto` may, and `reason` says why.
   * @throws QutlassError `QUTLASS_E_NO_DEVICE`, `QUTLASS_E_BINARY`
   */
  static open(name: DeviceName = 'auto', options: DeviceOptions = {}): Device {
    if (name === 'auto') return Device.#openBest(options);
    if (name === 'cpu') return Device.#open('cpu', options);
    if (name === 'cuda') return Device.#open('cuda:0', options);
    if (/^cuda:\d+$/.test(name)) return Device.#open(name, options);
    throw invalidArgument(
      'QUTLASS_E_ARGUMENT',
      'device',
      "'auto', 'cpu', 'cuda' or 'cuda:<index>'",
      JSON.stringify(name),
    );
  }

  /** The device of tensors made without one: the CPU, until {@link Device.setDefault} says otherwise. */
  static get default(): Device {
    return preferred ?? Device.open('cpu');
  }

  /** Makes `device` the one of tensors made without one from now on. Each worker thread has its own. */
  static setDefault(device: Device): void {
    if (!(device instanceof Device)) {
      throw invalidArgument(
        'QUTLASS_E_ARGUMENT',
        'device',
        'a device of Device.open()',
        JSON.stringify(device) ?? typeof device,
      );
    }
    preferred = device;
  }

  /** The first GPU, or the CPU if there is none. QUTLASS_DEVICE=cpu leaves GPUs alone. */
  static #openBest(options: DeviceOptions): Device {
    if (process.env.QUTLASS_DEVICE === 'cpu') return Device.#open('cpu', options, 'auto: QUTLASS_DEVICE=cpu');
    try {
      return Device.#open('cuda:0', options, 'auto: a GPU was found');
    } catch (error) {
      if (!(error instanceof QutlassError) || error.code !== 'QUTLASS_E_NO_DEVICE') throw error;
      return Device.#open('cpu', options, `auto: ${error.message}`);
    }
  }

  static #open(name: string, options: DeviceOptions, reason?: string): Device {
    const threads = options.threads ?? 0;
    if (!Number.isInteger(threads) || threads > 1024 || (options.threads !== undefined && threads < 1)) {
      throw invalidArgument(
        'QUTLASS_E_ARGUMENT',
        'threads',
        'an integer from 1 to 1024',
        String(options.threads),
      );
    }
    const key = `${name}/${threads}`;
    let device = opened.get(key);
    if (!device) {
      device = new Device(name, threads);
      opened.set(key, device);
    }
    if (reason !== undefined) device.#reason = reason;
    return device;
  }

  /** Why `auto` chose this device, if it did; otherwise that it was asked for. */
  get reason(): string {
    return this.#reason;
  }

  /** The stream that operations go to: the default one, or the one of the surrounding {@link Stream.run}. */
  get stream(): Stream {
    return this.#current;
  }

  /** Processor model, instruction set of the kernels, thread count. */
  get info(): NativeDeviceInfo {
    return loadBinding().deviceInfo(this.handle);
  }

  memoryStats(): MemoryStats {
    return loadBinding().memoryStats(this.handle);
  }

  /** Returns cached, unused memory to the system. */
  trimMemory(): void {
    loadBinding().memoryTrim(this.handle);
  }

  /** Resolves when the current stream has run all its work. */
  synchronize(): Promise<void> {
    return this.#current.synchronize();
  }

  /** @internal */
  withStream<T>(stream: Stream, body: () => T): T {
    const previous = this.#current;
    this.#current = stream;
    try {
      return body();
    } finally {
      this.#current = previous;
    }
  }

  /** `cpu`, or `cpu with 1 thread(s)` if the number was asked for. */
  toString(): string {
    return this.#threads ? `${this.name} with ${this.#threads} thread(s)` : this.name;
  }
}
