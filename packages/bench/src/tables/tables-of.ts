import type { Results } from '../results/types.js';
import { decodeTable } from './decode-table.js';
import { errorTables } from './error-table.js';
import { expertsTables } from './experts-table.js';
import { gemmTables } from './gemm-table.js';
import { hostTable } from './host-table.js';
import { layerTables } from './layer-table.js';
import { limitsTable } from './limits-table.js';
import { modelTable } from './model-table.js';
import { peerTables } from './peer-table.js';
import { quantizeTables } from './quantize-table.js';
import type { Table } from './table.js';

/** All tables of a results file. */
export function tablesOf(results: Results): readonly Table[] {
  switch (results.suite) {
    case 'demo':
      return [modelTable(results.model, results.rows)];
    case 'accuracy':
      return [modelTable(results.model, results.rows), ...errorTables(results.errors)];
    case 'gemm':
      return [limitsTable(results), ...gemmTables(results)];
    case 'quantize':
      return [limitsTable(results), ...quantizeTables(results)];
    case 'layer':
      return [limitsTable(results), ...layerTables(results)];
    case 'experts':
      return [limitsTable(results), ...expertsTables(results)];
    case 'decode':
      return [limitsTable(results), decodeTable(results)];
    case 'host':
      return [hostTable(results)];
    case 'peers-cpu':
      return [limitsTable(results), ...peerTables(results)];
  }
}
