import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accuracyResults, demoResults, gemmResults, gpu, timedResults } from '../test-support.js';
import { formatResults, parseResults, readResults, requireWritableFolder, writeResults } from './io.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qutlass-bench-'));
});
afterAll(() => rm(folder, { recursive: true }));

const suites = {
  ...timedResults,
  demo: demoResults(),
  accuracy: accuracyResults(),
  gemm: { ...gemmResults(), gpu },
};

describe('results files', () => {
  it.each(Object.entries(suites))('of suite %s come back as they were written', async (name, results) => {
    const path = join(folder, `${name}.json`);
    await writeResults(path, results);
    expect(await readResults(path)).toEqual(results);
  });

  it('have a line for each row', () => {
    const lines = formatResults(suites.demo).split('\n');
    expect(lines.filter((line) => line.includes('"perplexity"'))).toHaveLength(2);
  });

  it('are validated on writing', async () => {
    const path = join(folder, 'invalid.json');
    const invalid = { ...suites.gemm, rows: [] };
    await expect(writeResults(path, invalid)).rejects.toThrow('rows:');
    await expect(readFile(path)).rejects.toThrow('ENOENT');
  });
});

describe('parseResults', () => {
  const cases = {
    'another version of the schema': [{ ...suites.demo, schemaVersion: 1 }, 'schemaVersion: '],
    'an unknown suite': [{ ...suites.demo, suite: 'memory' }, 'suite: '],
    'an unknown field': [{ ...suites.demo, color: 'red' }, 'the document: Unrecognized key: "color"'],
    'a loss that is not finite': [{ ...suites.demo, rows: [{ ...suites.demo.rows[0], loss: Number.NaN }] }, 'rows.0.loss: '],
    'a date without a time': [{ ...suites.gemm, date: '2026-01-02' }, 'date: '],
    'something else': ['text', 'the document: '],
  } as const;
  it.each(Object.entries(cases))('refuses %s', (_name, [value, message]) => {
    expect(() => parseResults(value, 'a.json')).toThrow(`a.json: expected qutlass-bench results, got ${message}`);
    expect(() => parseResults(value, 'a.json')).toThrow(expect.objectContaining({ code: 'QUTLASS_E_ARGUMENT' }));
  });
});

describe('paths', () => {
  it('that cannot be read or written are named', async () => {
    const missing = join(folder, 'missing', 'a.json');
    await expect(readResults(missing)).rejects.toThrow(`${missing}: expected a readable file, got ENOENT`);
    await expect(writeResults(missing, suites.demo)).rejects.toThrow('expected a writable path, got ENOENT');
    await expect(requireWritableFolder(missing)).rejects.toThrow('expected a path in a writable folder, got ENOENT');
    await requireWritableFolder(join(folder, 'new.json'));
  });

  it('of files that are not JSON are named', async () => {
    const path = join(folder, 'text.json');
    await writeFile(path, 'no');
    await expect(readResults(path)).rejects.toThrow(`${path}: expected JSON, got `);
  });
});
