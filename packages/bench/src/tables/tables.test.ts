import { expect, it } from 'vitest';
import { compareResults } from '../compare.js';
import {
  accuracyResults,
  decodeResults,
  decodeRow,
  demoResults,
  gemmResults,
  gemmRow,
  gpu,
  layerResults,
  layerRow,
  modelRow,
  peerResults,
  peerRow,
  quantizeResults,
  quantizeRow,
  spread,
  timedResults,
} from '../test-support.js';
import { compareTable } from './compare-table.js';
import { decodeTable } from './decode-table.js';
import { errorTables } from './error-table.js';
import { gemmTables } from './gemm-table.js';
import { layerTables } from './layer-table.js';
import { limitsTable } from './limits-table.js';
import { modelTable } from './model-table.js';
import { peerTables } from './peer-table.js';
import { quantizeTables } from './quantize-table.js';
import type { Table } from './table.js';
import { tablesOf } from './tables-of.js';

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
    'M x N x K = 1 x 4096 x 4096, against cpu.f32.avx2',
    'M x N x K = 32 x 4096 x 4096, against cpu.f32.avx2',
  ]);
  const [line] = texts(tables[0]!);
  expect(line?.join(' | ')).toBe(
    'f32 x nvfp4 | cpu.f32.avx2 * | 1.00 ms | ±10 % | 2.00x | 33.5 | 9.40 | 47 % | 500 us | ±20 % | 3.00x',
  );
  expect(tables[1]?.rows[0]?.[4]).toEqual({ text: '0.50x', tone: 'bad' });
  const [withPeak] = gemmTables(gemmResults([gemmRow({ peakFraction: 0.5 })]));
  expect(texts(withPeak!)[0]?.at(-1)).toBe('50 %');
  // Nothing was measured with the weight in the cache.
  expect(tables[1]?.columns.map(({ title }) => title)).not.toContain('Hot');
});

it('the limits name the device and leave out what is missing', () => {
  const table = limitsTable({ ...gemmResults(), gpu });
  expect(table.title).toBe('Limits of Test GPU, in the same run');
  expect(texts(table).map(([name, value]) => `${name}: ${value}`)).toEqual([
    'Reading memory: 20.00 GB/s',
    'Copying memory, read + written: 16.00 GB/s',
    'Kernel on one element: 1.00 us',
    'bf16 product by cuBLASLt, 4096³: 7.000e+5 GOP/s',
  ]);
});

it('the quantizer tables say where the input was and whether the global scale was given', () => {
  const rows = [
    quantizeRow(),
    quantizeRow({ globalScale: 'given', rotation: 'hadamard(16)' }),
    quantizeRow({ made: { by: 'rmsNorm', fused: true } }),
    quantizeRow({ made: { by: 'siluMul', fused: false } }),
    quantizeRow({ training: 'transposed', rotation: 'hadamard(16)' }),
    quantizeRow({ m: 4096, cache: 'cold' }),
  ];
  const tables = quantizeTables(quantizeResults(rows));
  expect(tables.map(({ title }) => title)).toEqual([
    'Quantizers on bf16 [16, 4096], in the cache',
    'Quantizers on bf16 [4096, 4096], not in the cache',
  ]);
  expect(texts(tables[0]!).map((row) => row.join(' | '))).toEqual([
    'nvfp4 | found | 10.0 us | ±10 % | 16.8 | 105 % | 0.90x',
    'nvfp4 + hadamard(16) | given | 10.0 us | ±10 % | 16.8 | 105 % | 0.90x',
    'nvfp4 of RMSNorm, fused | found | 10.0 us | ±10 % | 16.8 | 105 % | 0.90x',
    'nvfp4 of silu(gate) * up, in two calls | found | 10.0 us | ±10 % | 16.8 | 105 % | 0.90x',
    'nvfp4 + hadamard(16), transposed | found | 10.0 us | ±10 % | 16.8 | 105 % | 0.90x',
  ]);
});

it('the layer tables say which share quantizing has', () => {
  const rows = [layerRow(), layerRow({ activations: null, rotation: null })];
  expect(texts(layerTables(layerResults(rows))[0]!).map((row) => row.join(' | '))).toEqual([
    'nvfp4 x nvfp4 + hadamard(16) | cpu.f32.avx2 | 1.00 ms | ±10 % | 1.50x | 750 us | ±7 % | 2.00x | 25 %',
    'nvfp4 | cpu.f32.avx2 | 1.00 ms | ±10 % | 1.50x | 750 us | ±7 % | 2.00x | ',
  ]);
});

it('the decode table puts tokens beside the roofline', () => {
  const rows = [decodeRow(), decodeRow({ speedup: null, head: 'nvfp4', step: null })];
  expect(texts(decodeTable(decodeResults(rows))).map((row) => row.join(' | '))).toEqual([
    'tiny, 4 layers | nvfp4, head f32 | 2.82 | 4000 | 100.0 | ±5 % | 1.50x | 3.35 | 0.50 | 0.10 | 80 % | 40 | 2.50 us | 90.0',
    'tiny, 4 layers | nvfp4 | 2.82 | 4000 | 100.0 | ±5 % |  | 3.35 |  |  | 80 % |  |  | 90.0',
  ]);
});

it('the tables of other libraries put them beside ours, and cold weights beside the bandwidth', () => {
  const rows = [peerRow(), peerRow({ cache: 'hot', accuracy: 'exact' }), peerRow({ m: 32, threads: 1 })];
  const tables = peerTables(peerResults(rows));
  expect(tables.map(({ title }) => title)).toEqual([
    'M x N x K = 1 x 4096 x 4096, 2 threads',
    'M x N x K = 32 x 4096 x 4096, 1 thread',
  ]);
  expect(texts(tables[0]!).map((row) => row.join(' | '))).toEqual([
    'nvfp4, A in int8, cold | 400 us | ±3 % | 118 % | ggml nvfp4 | 800 us | ±0 % | 2.00x',
    'nvfp4, hot | 400 us | ±3 % |  | ggml nvfp4 | 800 us | ±0 % | 2.00x',
  ]);
});

it('every suite has tables', () => {
  for (const results of [...Object.values(timedResults), demoResults(), accuracyResults()]) {
    const tables = tablesOf(results);
    expect(tables.length).toBeGreaterThan(0);
    for (const { columns, rows } of tables) for (const row of rows) expect(row).toHaveLength(columns.length);
  }
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
  // The limits of the device are compared too.
  expect(compareTable(report, true).rows).toHaveLength(3 + 3);
  expect(compareTable(report, false).note).toContain('6 quantities compared, 4 within the noise');
});
