import { expect, it } from 'vitest';
import { compareResults } from '../compare.js';
import { accuracyResults, demoResults, gemmResults, gemmRow, modelRow, spread } from '../test-support.js';
import { compareTable } from './compare-table.js';
import { errorTables } from './error-table.js';
import { gemmTables } from './gemm-table.js';
import { modelTable } from './model-table.js';
import type { Table } from './table.js';

const texts = ({ rows }: Table) => rows.map((row) => row.map(({ text }) => text));

it('the model table has expected losses only where some are known', () => {
  const { model, rows } = demoResults();
  expect(modelTable(model, rows).columns.map(({ title }) => title)).not.toContain('Expected');
  const known = modelTable(model, [modelRow({ expectedLoss: 2.0047 }), modelRow({ expectedLoss: 2.1 })]);
  const column = known.columns.findIndex(({ title }) => title === 'Expected');
  expect(known.rows.map((row) => row[column])).toEqual([
    { text: '2.0047', tone: 'good' },
    { text: '2.1000', tone: 'bad' },
  ]);
});

it('the error tables put a rotation beside its format', () => {
  const tables = errorTables(accuracyResults().errors);
  expect(tables.map(({ title }) => title)).toEqual(['Relative squared error on N(0,1)']);
  expect(texts(tables[0]!)).toEqual([
    ['nvfp4', '4.50', '9.04e-3', '9.05e-3', '-0.1 %', 'hadamard(16)', '9.06e-3', '9.05e-3', '+0.1 %', '+0 %'],
  ]);
});

it('the gemm tables have one line for hot and cold of a product, and one table for a shape', () => {
  const rows = [
    gemmRow({ cache: 'hot', seconds: spread(5e-4, 4e-4, 6e-4), speedup: spread(3, 2, 4) }),
    gemmRow(),
    gemmRow({ m: 32, chosen: false, speedup: spread(0.5, 0.4, 0.6) }),
  ];
  const tables = gemmTables(gemmResults(rows));
  expect(tables.map(({ title }) => title)).toEqual([
    'M x N x K = 1 x 4096 x 4096',
    'M x N x K = 32 x 4096 x 4096',
  ]);
  const [line] = texts(tables[0]!);
  expect(line?.join(' | ')).toBe(
    'f32 x nvfp4 | cpu.f32.avx2 * | 1.00 ms | ±10 % | 2.00x | 33.5 | 9.40 | 500 us | ±20 % | 3.00x',
  );
  expect(tables[1]?.rows[0]?.[4]).toEqual({ text: '0.50x', tone: 'bad' });
});

it('the comparison lists the largest change first and leaves out the noise', () => {
  const at = (weight: string, median: number) =>
    gemmRow({ weight, seconds: spread(median, 0.95 * median, 1.05 * median) });
  const before = gemmResults([at('nvfp4', 1), at('mxfp4', 1), at('nf4', 1)]);
  const after = gemmResults([at('nvfp4', 1.2), at('mxfp4', 0.25), at('nf4', 1.01)]);
  const report = compareResults(before, after);
  expect(texts(compareTable(report, false)).map((row) => row.slice(-2))).toEqual([
    ['0.250', 'better'],
    ['1.200', 'worse'],
  ]);
  expect(compareTable(report, true).rows).toHaveLength(3);
  expect(compareTable(report, false).note).toContain('3 quantities compared, 1 within the noise');
});
