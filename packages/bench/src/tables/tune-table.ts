import type { Candidate, TunedProblem } from '@qutlass/gemm';
import { formatSeconds } from './format.js';
import { type ColumnOf, type Table, tableOf } from './table.js';

interface Line {
  readonly problem: string;
  readonly candidate: Candidate;
  readonly chosen: boolean;
}

const time = (seconds: number | undefined): string => (seconds === undefined ? '' : formatSeconds(seconds));

const COLUMNS: readonly ColumnOf<Line>[] = [
  { title: 'Product', value: ({ problem }) => problem },
  { title: 'Kernel', value: ({ candidate, chosen }) => `${candidate.kernel.name}${chosen ? ' *' : ''}` },
  { title: 'Measured', align: 'right', value: ({ candidate }) => time(candidate.measuredSeconds) },
  { title: 'Predicted', align: 'right', value: ({ candidate }) => time(candidate.predictedSeconds) },
];

/** The kernels that were measured for each product, the fastest first. */
export function tuneTable(names: readonly string[], tuned: readonly TunedProblem[]): Table {
  const lines = tuned.flatMap(({ candidates, chosen }, index) =>
    candidates
      .filter(({ measuredSeconds }) => measuredSeconds !== undefined)
      .toSorted((x, y) => x.measuredSeconds! - y.measuredSeconds!)
      .map(
        (candidate, rank): Line => ({
          problem: rank === 0 ? names[index]! : '',
          candidate,
          chosen: candidate.kernel.name === chosen,
        }),
      ),
  );
  return tableOf('Measured kernels', lines, COLUMNS, '* the kernel that the library chooses from now on.');
}
