import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DTYPES, loadBinding } from '../src/index.js';

const header = readFileSync(join(import.meta.dirname, '../native/include/qutlass.h'), 'utf8').replaceAll(
  /\/\*[\s\S]*?\*\//g,
  '',
);

/** The functions that the binding has under another name, or uses itself. */
const OTHERWISE: Readonly<Record<string, readonly string[]>> = {
  // The text and the code of the errors that it throws.
  qutlass_last_error: [],
  // Handles are freed when they are released or collected.
  qutlass_device_close: [],
  qutlass_event_destroy: [],
  qutlass_device_get_info: ['deviceInfo'],
  qutlass_memory_get_stats: ['memoryStats'],
  qutlass_alloc: ['tensorCreate'],
  qutlass_alloc_from: ['tensorCreate'],
  qutlass_retain: ['tensorView'],
  qutlass_free: ['tensorRelease'],
  // Blocking as in C, and as a promise.
  qutlass_stream_synchronize: ['streamSynchronizeBlocking'],
  qutlass_stream_call: ['streamSynchronize'],
  qutlass_kernel_count: ['kernels'],
  qutlass_kernel_get_info: ['kernels'],
};
/** The functions of the binding that build its own objects. */
const OWN = [
  'initialize',
  'quantizedCreate',
  'quantizeNew',
  'quantizeTransposedNew',
  'quantizedPart',
  'quantizedRelease',
  'rmsNormQuantizeNew',
  'rotationCreate',
  'roundingCreate',
  'siluMulQuantizeNew',
];

const camelCase = (name: string) =>
  name.replace(/^qutlass_/, '').replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

const declared = Array.from(header.matchAll(/^QUTLASS_API[^(]*?(qutlass_\w+)\(/gm), ([, name]) =>
  String(name),
);

it('every function of the header is bound, and nothing else', () => {
  expect(declared.length).toBe(header.match(/^QUTLASS_API /gm)?.length);
  expect(declared).toEqual(expect.arrayContaining(Object.keys(OTHERWISE)));
  const expected = declared.flatMap((name) => OTHERWISE[name] ?? [camelCase(name)]);
  // By name: the methods that have a state are not enumerable.
  const bound = Object.getOwnPropertyNames(loadBinding());
  expect(bound.sort()).toEqual([...new Set([...expected, ...OWN])].sort());
});

it('the dtypes are those of the header', () => {
  const body = header.match(/typedef enum qutlass_dtype \{([^}]*)\}/)?.[1] ?? '';
  const ids = Object.fromEntries(
    Array.from(body.matchAll(/QUTLASS_(\w+) = (\d+)/g), ([, name, id]) => [
      String(name).toLowerCase().replace('_', ''),
      Number(id),
    ]),
  );
  const { dtypecount, ...dtypes } = ids;
  expect(Object.fromEntries(Object.entries(DTYPES).map(([name, { id }]) => [name, id]))).toEqual(dtypes);
  expect(Object.keys(DTYPES)).toHaveLength(dtypecount ?? 0);
});

it('the ABI version is that of the header', () => {
  expect(loadBinding().abiVersion()).toBe(Number(header.match(/QUTLASS_ABI_VERSION (\d+)/)?.[1]));
});

it('the platform package carries this header', () => {
  const packaged = join(import.meta.dirname, '../npm/linux-x64-gnu/include/qutlass.h');
  const source = join(import.meta.dirname, '../native/include/qutlass.h');
  expect(readFileSync(packaged, 'utf8')).toBe(readFileSync(source, 'utf8'));
});
