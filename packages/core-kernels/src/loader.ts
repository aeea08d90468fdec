import { createRequire } from 'node:module';
import { QutlassError } from './errors.js';
import type { NativeBinding } from './native.js';

const require = createRequire(import.meta.url);

/** The C ABI version that this package speaks; see `QUTLASS_ABI_VERSION` in qutlass.h. */
const ABI_VERSION = 4;
/** The Node-API version that the addon is built for. */
const NODE_API_VERSION = 8;

/** One place where the binary was looked for. */
export interface LoadAttempt {
  readonly source: string;
  readonly error?: string;
}

/** What {@link loadBinding} found; `qutlass doctor` prints it. */
export interface LoadReport {
  /** `linux-x64-gnu` and the like. */
  readonly target: string;
  readonly attempts: readonly LoadAttempt[];
  readonly binding?: NativeBinding;
  /** Why there is no binding. */
  readonly error?: QutlassError;
}

let report: LoadReport | undefined;

/** Tries every place in order, once per process, and remembers the result. Never throws. */
export function probeBinding(): LoadReport {
  report ??= probe(targetOf(process), process.env.QUTLASS_BINARY_PATH);
  return report;
}

/**
 * The native binding.
 * @throws QutlassError `QUTLASS_E_BINARY` with what was tried and the command that helps.
 */
export function loadBinding(): NativeBinding {
  const { binding, error } = probeBinding();
  if (!binding) throw error;
  return binding;
}

/** `<os>-<arch>`, and the C library on Linux. */
export function targetOf(host: Pick<NodeJS.Process, 'platform' | 'arch'>): string {
  const libc = host.platform === 'linux' ? (isGlibc() ? '-gnu' : '-musl') : '';
  return `${host.platform}-${host.arch}${libc}`;
}

function isGlibc(): boolean {
  const header = (process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined)
    ?.header;
  return header?.glibcVersionRuntime !== undefined;
}

/** The targets with a platform package, and how it is required: literal specifiers, so that bundlers see them. */
const PLATFORM_PACKAGES: Readonly<Record<string, () => unknown>> = {
  'linux-x64-gnu': () => require('@qutlass/core-kernels-linux-x64-gnu'),
};

/** @internal Exported for tests. */
export function probe(target: string, override: string | undefined): LoadReport {
  const source = override || `@qutlass/core-kernels-${target}`;
  try {
    const binding = open(target, override);
    return { target, attempts: [{ source }], binding };
  } catch (cause) {
    const attempts = [{ source, error: describe(cause) }];
    return { target, attempts, error: binaryError(target, override, attempts, cause) };
  }
}

function open(target: string, override: string | undefined): NativeBinding {
  // Asked before the binary is touched: an addon for a newer Node-API may crash instead of failing.
  const napi = Number(process.versions.napi);
  if (napi < NODE_API_VERSION)
    throw new Error(`it needs Node-API ${NODE_API_VERSION}, this Node has ${napi}`);

  const load = override ? () => require(override) : PLATFORM_PACKAGES[target];
  if (!load) throw new Error('there is no such package');
  const binding = load() as NativeBinding;
  const abi = binding.abiVersion();
  if (abi !== ABI_VERSION) {
    throw new Error(
      `it has ABI version ${abi}, expected ${ABI_VERSION}; install both packages in one version`,
    );
  }
  binding.initialize(QutlassError);
  return binding;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as NodeJS.ErrnoException).code;
  const firstLine = error.message.split('\n', 1)[0] ?? '';
  return code ? `${code}: ${firstLine}` : firstLine;
}

function binaryError(
  target: string,
  override: string | undefined,
  attempts: readonly LoadAttempt[],
  cause: unknown,
): QutlassError {
  const lines = [
    `the native kernels could not be loaded on ${target} (Node ${process.version}).`,
    ...attempts.map(({ source, error }) => `- ${source}: ${error}`),
    'Possible remedies:',
    ...remedies(target, override),
  ];
  return new QutlassError('QUTLASS_E_BINARY', lines.join('\n'), { cause });
}

function remedies(target: string, override: string | undefined): string[] {
  if (override) return ['- correct QUTLASS_BINARY_PATH, or unset it to use the platform package'];
  const own = '- use a binary of your own: QUTLASS_BINARY_PATH=/path/to/qutlass.node';
  if (!Object.hasOwn(PLATFORM_PACKAGES, target)) {
    return [`- run on a system that has a binary package: ${Object.keys(PLATFORM_PACKAGES).join(', ')}`, own];
  }
  return [
    '- install the platform package, which npm skips with --omit=optional or a lockfile from another system:',
    `    npm install --include=optional @qutlass/core-kernels-${target}`,
    '- cross-install for another system: npm install --os=linux --cpu=x64 --libc=glibc @qutlass/core-kernels',
    own,
  ];
}
