import { type Device, type KernelInfo, loadBinding, QutlassError, type Tensor } from '@qutlass/core-kernels';
import type { Problem } from './problem.js';

/** What is known of one kernel for one problem. */
export interface Candidate {
  readonly kernel: KernelInfo;
  /** Why it cannot run; undefined if it can. */
  readonly refusal?: string;
  /** By the analytic model, in seconds. */
  readonly predictedSeconds?: number;
}

/** Memory bandwidth that the model assumes for a CPU, in bytes per second: a few cores of a server or a laptop. */
const CPU_BANDWIDTH = 20e9;

let kernels: readonly KernelInfo[] | undefined;
const chosen = new WeakMap<Device, Map<string, number>>();

/** The kernels of this library, in the order of the native registry. */
export function kernelList(): readonly KernelInfo[] {
  kernels ??= loadBinding().kernels();
  return kernels;
}

/**
 * The time that the model predicts: the larger of the compute time at the kernel's rate on all threads, rounded up to
 * whole tiles, and the time to move the operands once.
 */
export function predictSeconds(kernel: KernelInfo, problem: Problem): number {
  const [tileM, tileN] = kernel.tile;
  const roundUp = (x: number, tile: number) => Math.ceil(x / tile) * tile;
  const operations = 2 * roundUp(problem.m, tileM) * roundUp(problem.n, tileN) * problem.k;
  const rate = kernel.peakGops * 1e9 * problem.device.info.threads;
  return Math.max(operations / rate, problem.bytes / CPU_BANDWIDTH);
}

/** Every kernel with its prediction or the reason why it cannot run. */
export function candidates(problem: Problem, out: Tensor): Candidate[] {
  const kernels = kernelList().filter(({ device }) => device === problem.device.kind);
  return kernels.map((kernel) => {
    const refusal = problem.refusal(kernel.index, out as Tensor<'f32'>);
    if (!refusal) return { kernel, predictedSeconds: predictSeconds(kernel, problem) };
    // A fault of the problem itself is the same for every kernel, and the caller's to hear.
    if (!(refusal instanceof QutlassError) || refusal.code !== 'QUTLASS_E_UNSUPPORTED') throw refusal;
    return { kernel, refusal: refusal.message };
  });
}

/** The candidate with the smallest prediction; the registry's order decides between equals. */
export function best(list: readonly Candidate[]): Candidate | undefined {
  let winner: Candidate | undefined;
  for (const candidate of list) {
    if (candidate.predictedSeconds === undefined) continue;
    if (winner?.predictedSeconds === undefined || candidate.predictedSeconds < winner.predictedSeconds)
      winner = candidate;
  }
  return winner;
}

/**
 * The index of the kernel to run, remembered by device and problem.
 * @throws QutlassError `QUTLASS_E_UNSUPPORTED` with each kernel's reason
 */
export function chooseKernel(problem: Problem, out: Tensor, forced?: string): number {
  if (forced !== undefined) return kernelByName(forced).index;
  let remembered = chosen.get(problem.device);
  if (!remembered) {
    remembered = new Map();
    chosen.set(problem.device, remembered);
  }
  let index = remembered.get(problem.key);
  if (index === undefined) {
    const list = candidates(problem, out);
    const winner = best(list);
    if (!winner) {
      const reasons = list.map(({ kernel, refusal }) => `- ${kernel.name}: ${refusal}`).join('\n');
      throw new QutlassError('QUTLASS_E_UNSUPPORTED', `no kernel for ${problem}:\n${reasons}`);
    }
    index = winner.kernel.index;
    remembered.set(problem.key, index);
  }
  return index;
}

function kernelByName(name: string): KernelInfo {
  const kernel = kernelList().find((candidate) => candidate.name === name);
  if (!kernel) {
    const names = kernelList().map((candidate) => candidate.name);
    throw new QutlassError(
      'QUTLASS_E_ARGUMENT',
      `kernel: expected one of ${names.join(', ')}, got ${JSON.stringify(name)}`,
    );
  }
  return kernel;
}
