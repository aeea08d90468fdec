import type { GpuState, Results } from '../results/types.js';

/** What a suite is about, as a heading. */
export const TITLES: Readonly<Record<Results['suite'], string>> = {
  demo: 'What quantizing costs a model',
  accuracy: 'Accuracy of the formats',
  gemm: 'Speed of matrix multiplication',
  quantize: 'Speed of the quantizers',
  layer: 'Speed of linear layers',
  experts: 'Speed of experts',
  decode: 'Speed of whole models',
  host: 'Cost of the host',
  'peers-cpu': 'Products on a CPU, beside other libraries',
};

/** Where and on what a run took place, as names and texts. */
export function runFacts({ machine, gpu, node, packages, commit, date }: Results): Record<string, string> {
  const { cpu, isa, threads, memoryBytes } = machine;
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  return {
    ...(gpu && {
      GPU: `${gpu.name}, ${gpu.multiprocessors} multiprocessors, ${gpu.isa}, ${gibibytes(gpu.memoryBytes)} memory, CUDA ${gpu.cuda}`,
    }),
    ...(gpu?.before && gpu.after && { State: stateText(gpu.before, gpu.after) }),
    Machine: `${cpu}, ${threads} threads, kernels for ${isa}, ${gibibytes(memoryBytes)} memory`,
    Software: [`Node ${node}`, ...versions].join(', '),
    Commit: commit ?? 'not known',
    Date: `${date.replace('T', ' ').slice(0, 16)} UTC`,
  };
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(0)} GiB`;
}

/** `driver 580.65, before and after: clock 1980 and 1755 MHz, ...` */
function stateText(before: GpuState, after: GpuState): string {
  const both = (name: string, field: Exclude<keyof GpuState, 'driver'>, unit: string) =>
    before[field] === null || after[field] === null
      ? []
      : [`${name} ${before[field].toFixed(0)} and ${after[field].toFixed(0)} ${unit}`];
  const readings = [
    ...both('clock', 'clock', 'MHz'),
    ...both('memory clock', 'memoryClock', 'MHz'),
    ...both('power', 'power', 'W'),
    ...both('temperature', 'temperature', '°C'),
  ];
  return [`driver ${before.driver ?? 'not known'}; before and after the run:`, readings.join(', ')].join(' ');
}
