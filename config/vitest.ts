import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

type ProjectOptions = NonNullable<TestProjectInlineConfiguration['test']>;

/** The results of the last run, which `npm test` adds up; turbo keeps the file together with the cached run. */
const output = { reporters: ['default', 'json'], outputFile: { json: '.vitest/results.json' } };

// Forks, because a native addon belongs to one process.
const common = {
  include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
  pool: 'forks',
  testTimeout: 120_000,
  hookTimeout: 120_000,
} satisfies ProjectOptions;

/** Tests that use no device. */
export default defineConfig({ test: { ...common, ...output } });

export interface Suites {
  /** The projects of the CPU; default: one. */
  cpu?: readonly ProjectOptions[];
  /** Files that are about the CPU, or use no device: a GPU would prove nothing new. */
  cpuOnly?: readonly string[];
}

/**
 * One suite for every device. Its tests make their tensors on `Device.default`, the device of the project: `native` is the
 * CPU; `cuda` the first GPU or, without one, a skipped test that says why. The environment variable QUTLASS_TEST_DEVICE
 * puts another device in the place of `cuda`, which then has to be there: `cuda:1`, or `cpu` for a second device of the
 * CPU, to try the suite without a GPU. A package's `test/setup.ts` makes the device the default.
 */
export function suites({ cpu = [{ name: 'native' }], cpuOnly = [] }: Suites) {
  const setup = { ...common, setupFiles: ['test/setup.ts'] };
  const onCpu = cpu.map(({ env, ...project }) => ({
    test: { ...setup, ...project, env: { ...env, QUTLASS_TEST_DEVICE: '' } },
  }));
  const device = process.env.QUTLASS_TEST_DEVICE || undefined;
  const onDevice = {
    ...setup,
    name: device ?? 'cuda',
    exclude: [...cpuOnly],
    env: { QUTLASS_TEST_DEVICE: device ?? 'cuda' },
  };
  const problem = device === undefined ? missingGpu() : undefined;
  const projects = [...onCpu, problem === undefined ? { test: onDevice } : skipped(problem)];
  return defineConfig({ test: { ...output, projects } });
}

/** A project of one skipped test, whose name is the reason. */
function skipped(reason: string) {
  const test = {
    ...common,
    name: 'cuda',
    include: ['missing-gpu.test.ts'],
    env: { QUTLASS_MISSING_GPU: reason },
  };
  return { root: import.meta.dirname, test };
}

/** Why there is no GPU to test on, as the built library says; nothing if there is one. */
function missingGpu(): string | undefined {
  const library = join(import.meta.dirname, '../packages/core-kernels/dist/index.js');
  // In a process of its own: a driver stays out of the processes that only hand out tests.
  const program = `
    import { doctor } from ${JSON.stringify(library)};
    const { problem, cuda } = doctor();
    console.log(JSON.stringify({ ...cuda, ...(problem && { reason: problem }) }));`;
  const text = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  const { available, reason } = JSON.parse(text) as { available: boolean; reason: string };
  return available ? undefined : reason;
}
