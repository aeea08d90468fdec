import { execFile } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { cpus, totalmem } from 'node:os';
import { dirname, relative } from 'node:path';
import { promisify } from 'node:util';
import { Device, loadBinding } from '@qutlass/core-kernels';
import { gpuOf, gpuState } from './gpu.js';
import type { GpuState, RunInfo } from './types.js';

const PACKAGES = ['core-kernels', 'quant', 'gemm', 'layers', 'bench'].map((name) => `@qutlass/${name}`);
const require = createRequire(import.meta.url);

/**
 * The machine, the versions and the time of a run on the device, at its end.
 * @param before the state of the GPU at the beginning, by {@link gpuState}
 */
export async function runInfo(device: Device, before: GpuState | null = null): Promise<RunInfo> {
  const { name, isa, threads } = (device.kind === 'cpu' ? device : Device.open('cpu')).info;
  return {
    schemaVersion: 2,
    machine: { cpu: cpus()[0]?.model ?? name, isa, threads, memoryBytes: totalmem() },
    gpu: gpuOf(device, before, await gpuState(device)),
    node: process.version,
    packages: packageVersions(),
    commit: await commitOf(dirname(require.resolve('@qutlass/bench/package.json'))),
    date: new Date().toISOString(),
  };
}

export function packageVersions(): Record<string, string> {
  const versions = PACKAGES.map((name) => [name, require(`${name}/package.json`).version as string]);
  return { ...Object.fromEntries(versions), native: loadBinding().version() };
}

/**
 * The commit that a package's folder is at. Outside of the repository of qutlass, for instance below the node_modules of
 * another project, whose commit says nothing about this code, it is QUTLASS_COMMIT of the environment, or null.
 */
export async function commitOf(folder: string): Promise<string | null> {
  // Without optional locks, git status and the like do not wait for this read, nor this for them.
  const env = { ...process.env, GIT_OPTIONAL_LOCKS: '0' };
  const git = async (...args: string[]) => {
    const { stdout } = await promisify(execFile)('git', args, { cwd: folder, env });
    return stdout.trim();
  };
  try {
    const root = await git('rev-parse', '--show-toplevel');
    if (relative(root, await realpath(folder)) !== 'packages/bench') return declaredCommit();
    return await git('describe', '--always', '--dirty', '--abbrev=40', '--exclude=*');
  } catch {
    return declaredCommit();
  }
}

function declaredCommit(): string | null {
  return process.env.QUTLASS_COMMIT || null;
}
