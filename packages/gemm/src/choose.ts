import {
  invalidArgument,
  type KernelInfo,
  loadBinding,
  QutlassError,
  type Tensor,
} from '@qutlass/core-kernels';
import { hardwareOf } from './hardware.js';
import { predictSeconds } from './model.js';
import type { Problem } from './problem.js';
import { measuredSeconds, tuningGeneration } from './tuning.js';

/** What is known of one kernel for one problem. */
export interface Candidate {
  readonly kernel: KernelInfo;
  /** Why it cannot run; undefined if it can. */
  readonly refusal?: string;
  /** By the analytic model. */
  readonly predictedSeconds?: number;
  /** By {@link tune}, on this device. */
  readonly measuredSeconds?: number;
}

/** The kernels chosen for products with one B, by {@link Problem.variant}. */
interface Choices {
  readonly generation: number;
  readonly kernels: Map<number, number>;
}

let kernels: readonly KernelInfo[] | undefined;
let kernelsByName: ReadonlyMap<string, KernelInfo> | undefined;
const choices = new WeakMap<Problem['operandB'], Choices>();

/** The kernels of this library, in the order of the native registry. */
export function kernelList(): readonly KernelInfo[] {
  kernels ??= loadBinding().kernels();
  return kernels;
}

/** Every kernel of the device with what is known of its time, or the reason why it cannot run. */
export function candidates(problem: Problem, out: Tensor): Candidate[] {
  const { device } = problem;
  const hardware = hardwareOf(device);
  const measured = measuredSeconds(device, problem.key);
  const own = kernelList().filter((kernel) => kernel.device === device.kind);
  return own.map((kernel) => {
    const refusal = problem.refusal(kernel.index, out as Tensor<'f32'>);
    if (!refusal) {
      const seconds = measured?.[kernel.name];
      return {
        kernel,
        predictedSeconds: predictSeconds(kernel, problem, hardware),
        ...(seconds !== undefined && { measuredSeconds: seconds }),
      };
    }
    // A fault of the problem itself is the same for every kernel, and the caller's to hear.
    if (!(refusal instanceof QutlassError) || refusal.code !== 'QUTLASS_E_UNSUPPORTED') throw refusal;
    return { kernel, refusal: refusal.message };
  });
}

/**
 * The candidate with the smallest time, of those that do not wait to be asked for: measured if any is, since a measurement
 * and a prediction do not compare. The registry's order decides between equals.
 */
export function best(list: readonly Candidate[]): Candidate | undefined {
  return smallest(list, 'measuredSeconds') ?? smallest(list, 'predictedSeconds');
}

function smallest(
  list: readonly Candidate[],
  time: 'measuredSeconds' | 'predictedSeconds',
): Candidate | undefined {
  let winner: Candidate | undefined;
  for (const candidate of list) {
    const seconds = candidate[time];
    if (seconds === undefined || candidate.kernel.onRequest) continue;
    if (winner === undefined || seconds < winner[time]!) winner = candidate;
  }
  return winner;
}

/**
 * The index of the kernel to run. It is remembered with B, which lives as long as it is multiplied with, so that a product
 * like one before costs a look-up by a number.
 * @throws QutlassError `QUTLASS_E_UNSUPPORTED` with each kernel's reason
 */
export function chooseKernel(problem: Problem, out: Tensor, forced?: string): number {
  if (forced !== undefined) return kernelByName(forced).index;
  const { operandB, variant } = problem;
  let own = choices.get(operandB);
  if (own?.generation !== tuningGeneration()) {
    own = { generation: tuningGeneration(), kernels: new Map() };
    choices.set(operandB, own);
  }
  let index = own.kernels.get(variant);
  if (index === undefined) {
    index = requireBest(problem, candidates(problem, out)).kernel.index;
    own.kernels.set(variant, index);
  }
  return index;
}

function requireBest(problem: Problem, list: readonly Candidate[]): Candidate {
  const winner = best(list);
  if (winner) return winner;
  const reasons = list.map(({ kernel, refusal }) => `- ${kernel.name}: ${refusal}`).join('\n');
  throw new QutlassError('QUTLASS_E_UNSUPPORTED', `no kernel for ${problem}:\n${reasons}`);
}

/** @throws QutlassError `QUTLASS_E_ARGUMENT` unless there are kernels of these names */
export function requireKernels(names: readonly string[]): void {
  for (const name of names) kernelByName(name);
}

function kernelByName(name: string): KernelInfo {
  kernelsByName ??= new Map(kernelList().map((kernel) => [kernel.name, kernel]));
  const kernel = kernelsByName.get(name);
  if (!kernel) {
    const names = [...kernelsByName.keys()].join(', ');
    throw invalidArgument('QUTLASS_E_ARGUMENT', 'kernel', `one of ${names}`, JSON.stringify(name));
  }
  return kernel;
}
