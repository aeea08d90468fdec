import { type DoctorReport, doctor, type NativeDeviceInfo } from '@qutlass/core-kernels';
import { architectureOf, PRECISION_MATRIX } from '@qutlass/gemm';
import { Command } from 'commander';
import pc from 'picocolors';
import { printJson, printTable } from './output.js';

/** `NVIDIA H200, sm_90, 132 multiprocessors, 140 GiB, driver for CUDA 13.0` */
function gpuText({ name, isa, threads, memoryBytes, driver }: NativeDeviceInfo): string {
  const memory = `${(memoryBytes / 2 ** 30).toFixed(0)} GiB`;
  return `${name}, ${isa}, ${threads} multiprocessors, ${memory}, driver for CUDA ${driver}`;
}

/** As what the devices of this machine multiply pairs of operands. */
function precisions({ cpu, gpus }: DoctorReport) {
  const found = [cpu, ...gpus.map(({ info }) => info)].flatMap((info) => (info ? [info.isa] : []));
  return [...new Set(found.map(architectureOf))].map((architecture) => ({
    architecture,
    pairs: PRECISION_MATRIX.map(({ a, b, on }) => ({ a, b, ...on[architecture] })),
  }));
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Show what the library sees on this machine: binary, devices, kernels.')
    .option('--json', 'print the report as JSON')
    .action(({ json }: { json?: boolean }) => {
      const report = doctor();
      if (!report.ok) process.exitCode = 1;
      if (json) {
        printJson({ ...report, precisions: precisions(report) });
        return;
      }
      const state = (good: boolean, text: string) => `${good ? pc.green('ok') : pc.yellow('no')}  ${text}`;
      const { cpu, cuda, gpus, binary } = report;
      printTable(
        ['check', 'result'],
        [
          ['Node', state(true, `${report.node}, Node-API ${report.nodeApi}, ${report.target}`)],
          ...binary.attempts.map(({ source, error }) => [
            'binary',
            state(!error, error ? `${source}: ${error}` : source),
          ]),
          [
            'CPU',
            state(
              cpu !== undefined,
              cpu ? `${cpu.name}, ${cpu.isa}, ${cpu.threads} threads` : 'not available',
            ),
          ],
          ['CUDA', state(cuda.available, cuda.reason)],
          ...gpus.map(({ name, info, reason }) => [
            name,
            state(info !== undefined, info ? gpuText(info) : reason!),
          ]),
        ],
      );
      if (report.kernels.length) {
        process.stdout.write('\n');
        printTable(
          ['kernel', 'device', 'multiplies', 'sums in', 'tile', 'here'],
          report.kernels.map((kernel) => [
            kernel.name,
            kernel.device,
            kernel.precision,
            kernel.accumulator,
            kernel.tile.join(' x '),
            kernel.available ? 'yes' : `needs ${kernel.requiresIsa}`,
          ]),
        );
      }
      if (report.problem) process.stderr.write(`\n${report.problem}\n`);
    });
}
