import { QutlassError } from './errors.js';

/** Something with memory of its own: call {@link dispose}, declare it with `using`, or create it inside {@link scope}. */
export abstract class Resource implements Disposable {
  #disposed = false;

  constructor() {
    scopes.at(-1)?.add(this);
  }

  /** Frees the memory. Work that is already enqueued still runs. Calling it again does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** The resources that live as long as this one. */
  owned(): Iterable<Resource> {
    return [];
  }

  protected abstract release(): void;

  /**
   * what: for the message, the name of the class if not given.
   * @throws QutlassError `QUTLASS_E_DISPOSED`
   */
  protected requireLive(what?: string): void {
    if (!this.#disposed) return;
    throw new QutlassError('QUTLASS_E_DISPOSED', `${what ?? this.constructor.name}: used after dispose()`);
  }
}

const scopes: Set<Resource>[] = [];

/**
 * Runs `body` and disposes every resource that it created, except those in what it returns (resources, and arrays and
 * plain objects of them). Those go to the surrounding scope, if there is one. `body` must be synchronous.
 *
 * @example
 * const y = scope(() => {
 *   const q = quantize(x, nvfp4());
 *   return matmul(q, w); // q is freed here, the product is not
 * });
 */
export function scope<T>(body: () => T extends Promise<unknown> ? never : T): T {
  const created = new Set<Resource>();
  scopes.push(created);
  let result: T;
  try {
    result = body();
  } catch (error) {
    scopes.pop();
    for (const resource of created) resource.dispose();
    throw error;
  }
  scopes.pop();
  keep(result, created);
  for (const resource of created) resource.dispose();
  if (result instanceof Promise) {
    // What it meets later, with its resources gone, adds nothing to the error here.
    result.catch(() => {});
    throw new QutlassError(
      'QUTLASS_E_ARGUMENT',
      'scope: expected a synchronous function, got one that returns a promise',
    );
  }
  return result;
}

/** Runs `body` outside of every {@link scope}: what it creates lives until it is disposed. For caches. */
export function unscoped<T>(body: () => T): T {
  const suspended = scopes.splice(0);
  try {
    return body();
  } finally {
    scopes.push(...suspended);
  }
}

/** Takes the resources reachable from `value` out of `created`, into the surrounding scope. */
function keep(value: unknown, created: Set<Resource>): void {
  if (value instanceof Resource) {
    if (created.delete(value)) scopes.at(-1)?.add(value);
    for (const part of value.owned()) keep(part, created);
  } else if (Array.isArray(value)) {
    for (const item of value) keep(item, created);
  } else if (
    value !== null &&
    typeof value === 'object' &&
    Object.getPrototypeOf(value) === Object.prototype
  ) {
    for (const item of Object.values(value)) keep(item, created);
  }
}
