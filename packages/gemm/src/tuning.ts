import type { Device } from '@qutlass/core-kernels';
import { readCache, type TuningRecords, tuningPath, writeCache } from './tuning-cache.js';

// Measured times of this process, by device. A file of them is read at the first choice of a kernel if QUTLASS_TUNE_CACHE
// names one, and otherwise only when asked for: what was once measured does not change results behind one's back.

const measured = new WeakMap<Device, Map<string, Readonly<Record<string, number>>>>();
let generation = 0;

/** Grows when measurements come or go, and with it the choices that rest on them. */
export function tuningGeneration(): number {
  return generation;
}

/** Seconds of kernels on a problem, by name; undefined if it was not measured. */
export function measuredSeconds(device: Device, key: string): Readonly<Record<string, number>> | undefined {
  return recordsOf(device).get(key);
}

/** Adds measurements, in the place of earlier ones of the same problems. */
export function recordTuning(device: Device, records: TuningRecords): void {
  const own = recordsOf(device);
  for (const [key, seconds] of Object.entries(records)) own.set(key, seconds);
  ++generation;
}

/**
 * Reads measurements of {@link tune} from a file, for a device; {@link matmul} then prefers them to predictions.
 * Returns the number of problems.
 *
 * @param path Default: the environment variable QUTLASS_TUNE_CACHE, or `qutlass/<device>.json` in XDG_CACHE_HOME or
 * `~/.cache`. The file of QUTLASS_TUNE_CACHE is also read by itself, if it exists, when the first kernel is chosen on a
 * device of its kind.
 * @throws QutlassError `QUTLASS_E_ARGUMENT` if the file is missing, malformed, or of another version or device
 */
export function loadTuning(device: Device, path: string = tuningPath(device)): number {
  const records = readCache(path, device, 'required');
  recordTuning(device, records);
  return Object.keys(records).length;
}

/**
 * Writes the measurements of a device to a file, beside those of other problems that it holds. The file is replaced at once,
 * so that a reader never sees half of it.
 * @param path As of {@link loadTuning}.
 * @throws QutlassError `QUTLASS_E_ARGUMENT` if the file is malformed, or of another version or device; it stays as it is
 */
export function saveTuning(device: Device, path: string = tuningPath(device)): void {
  writeCache(path, device, Object.fromEntries(recordsOf(device)));
}

/** Forgets the measurements of a device. Files stay. */
export function clearTuning(device: Device): void {
  measured.set(device, new Map());
  ++generation;
}

function recordsOf(device: Device): Map<string, Readonly<Record<string, number>>> {
  let own = measured.get(device);
  if (!own) {
    const path = process.env.QUTLASS_TUNE_CACHE;
    own = new Map(Object.entries(path ? readCache(path, device, 'ofThisKind') : {}));
    measured.set(device, own);
  }
  return own;
}
