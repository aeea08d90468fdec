import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Device, type DeviceKind, loadBinding, QutlassError } from '@qutlass/core-kernels';

/** Seconds by kernel, by the key of a problem. */
export type TuningRecords = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Grows with every change of the layout of the file, or of the meaning of its keys. */
const SCHEMA = 1;

/** What times depend on. */
interface CacheDevice {
  readonly kind: DeviceKind;
  readonly name: string;
  readonly isa: string;
  readonly driver: string;
  readonly threads: number;
}

interface Cache {
  readonly schema: typeof SCHEMA;
  /** The version of the library, whose kernels these are. */
  readonly library: string;
  readonly device: CacheDevice;
  readonly seconds: TuningRecords;
}

/** QUTLASS_TUNE_CACHE, or a file for the device in the user's cache folder. */
export function tuningPath(device: Device): string {
  if (process.env.QUTLASS_TUNE_CACHE) return process.env.QUTLASS_TUNE_CACHE;
  const folder = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const name = device.info.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  return join(folder, 'qutlass', `tune-${name}.json`);
}

/**
 * The records of a file.
 * @param need `required`: a missing file is an error. `ofThisKind`: a missing file, and one of a device of another kind,
 * have no records. `own`: a missing file has none.
 */
export function readCache(
  path: string,
  device: Device,
  need: 'required' | 'ofThisKind' | 'own',
): TuningRecords {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (need !== 'required' && (cause as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw refuse(path, 'a file that can be read', (cause as Error).message, 'run tune() to write one', cause);
  }
  const cache = parse(path, text);
  if (need === 'ofThisKind' && cache.device.kind !== device.kind) return {};
  requireOwn(path, cache, device);
  return cache.seconds;
}

/** Adds records to a file, or starts it. */
export function writeCache(path: string, device: Device, records: TuningRecords): void {
  const seconds = { ...readCache(path, device, 'own'), ...records };
  const cache: Cache = { schema: SCHEMA, library: libraryVersion(), device: identityOf(device), seconds };
  const part = `${path}.${process.pid}.part`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(part, `${JSON.stringify(cache, null, 2)}\n`);
    renameSync(part, path);
  } catch (cause) {
    rmSync(part, { force: true });
    throw refuse(path, 'a file that can be written', (cause as Error).message, 'name another file', cause);
  }
}

function parse(path: string, text: string): Cache {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refuse(path, 'JSON', (cause as Error).message, FRESH, cause);
  }
  if (!isObject(value)) throw refuse(path, 'an object', describe(value), FRESH);
  // Before anything else of a file that another version may have written.
  if (value.schema !== SCHEMA) throw refuse(path, `schema ${SCHEMA}`, describe(value.schema), FRESH);
  const { library, device, seconds } = value;
  if (typeof library !== 'string' || !isObject(device) || !isObject(seconds)) {
    throw refuse(path, 'library, device and seconds', Object.keys(value).join(', '), FRESH);
  }
  for (const [key, kernels] of Object.entries(seconds)) {
    if (!isObject(kernels) || !Object.values(kernels).every(isTime)) {
      throw refuse(path, `seconds by kernel for ${key}`, describe(kernels), FRESH);
    }
  }
  return value as unknown as Cache;
}

/** @throws QutlassError unless the cache was written by this version on this device */
function requireOwn(path: string, cache: Cache, device: Device): void {
  const version = libraryVersion();
  if (cache.library !== version) {
    throw refuse(path, `measurements of qutlass ${version}`, cache.library, FRESH);
  }
  const [own, other] = [identityOf(device), cache.device];
  if (textOf(own) !== textOf(other))
    throw refuse(path, `measurements on ${textOf(own)}`, textOf(other), FRESH);
}

function identityOf({ kind, info }: Device): CacheDevice {
  const { name, isa, driver, threads } = info;
  return { kind, name, isa, driver, threads };
}

function textOf({ name, isa, driver, threads }: CacheDevice): string {
  return [name, isa, `${threads} ${isa?.startsWith('sm_') ? 'multiprocessors' : 'threads'}`]
    .concat(driver ? [`CUDA ${driver}`] : [])
    .join(', ');
}

function libraryVersion(): string {
  return loadBinding().version();
}

const FRESH = 'tune again with another file, or remove this one';

function refuse(
  path: string,
  expected: string,
  actual: string,
  remedy: string,
  cause?: unknown,
): QutlassError {
  return new QutlassError(
    'QUTLASS_E_ARGUMENT',
    `tuning cache ${path}: expected ${expected}, got ${actual}; ${remedy}`,
    cause === undefined ? undefined : { cause },
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTime(value: unknown): boolean {
  return typeof value === 'number' && value > 0;
}

function describe(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
