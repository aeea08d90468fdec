import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

const USAGE = `usage: run.sh <command>
  doctor                        what the library finds on this machine
  test [packages] [--json file] the suites on the GPU; arguments after -- go to vitest
  bench [arguments]             qutlass-bench
  demo [arguments]              qutlass-bench demo
  sanitize [tools]              small cases under compute-sanitizer: memcheck, racecheck, initcheck, synccheck
  example-torch                 the library beside PyTorch, if python3 has it

QUTLASS_TEST_DEVICE: the device of the suites, default cuda; cpu tries them without a GPU.
QUTLASS_GOLDEN: another folder of golden vectors.`;

const PACKAGES = ['core-kernels', 'quant', 'gemm', 'layers', 'bench'];
const SANITIZERS = ['memcheck', 'racecheck', 'initcheck', 'synccheck'];
/** What touches memory in every way that there is. */
const SANITIZED = {
  'core-kernels': ['test/operations.test.ts', 'test/model-operations.test.ts'],
  quant: ['test/operations.test.ts', 'test/fused.test.ts', 'test/training.test.ts'],
  gemm: ['test/operations.test.ts', 'test/edges.test.ts', 'test/matmul-experts.test.ts'],
};
/** As test harnesses know it. */
const SKIPPED = 77;

const root = import.meta.dirname;
const [command, ...args] = process.argv.slice(2);
const commands = { doctor, test, bench, demo, sanitize, 'example-torch': exampleTorch };

if (!Object.hasOwn(commands, command ?? '')) {
  console.error(USAGE);
  process.exit(2);
}
process.exitCode = commands[command]();

function doctor() {
  return run(process.execPath, [join(root, 'packages/layers/bin/qutlass.mjs'), 'doctor', ...args]);
}

function bench() {
  return run(process.execPath, [join(root, 'packages/bench/bin/qutlass-bench.mjs'), ...args]);
}

function demo() {
  return run(process.execPath, [join(root, 'packages/bench/bin/qutlass-bench.mjs'), 'demo', ...args]);
}

function test() {
  const end = args.includes('--') ? args.indexOf('--') : args.length;
  const [own, rest] = [args.slice(0, end), args.slice(end + 1)];
  const at = own.indexOf('--json');
  const [, json] = at < 0 ? [] : own.splice(at, 2);
  const packages = own.length > 0 ? own : PACKAGES;
  requireSome(packages, PACKAGES);
  if (at >= 0 && !json) usageError('--json: expected a file');

  const all = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, success: true, testResults: [] };
  for (const name of packages) {
    const file = join(root, 'packages', name, '.vitest/results.json');
    rmSync(file, { force: true });
    const status = vitest(name, rest);
    if (!existsSync(file)) {
      console.log(`${name}: no test results, see above`);
      all.numFailedTests += 1;
      all.success = false;
      continue;
    }
    const results = JSON.parse(readFileSync(file, 'utf8'));
    for (const count of ['numPassedTests', 'numFailedTests', 'numPendingTests']) all[count] += results[count];
    // A file that could not be loaded fails no test.
    if (!results.success && results.numFailedTests === 0) all.numFailedTests += 1;
    all.success &&= results.success && status === 0;
    all.testResults.push(...results.testResults);
  }
  if (json) writeFileSync(resolve(json), JSON.stringify(all));
  console.log(
    `${all.numPassedTests} passed, ${all.numFailedTests} failed, ${all.numPendingTests} skipped (${testDevice()})`,
  );
  return all.success ? 0 : 1;
}

function sanitize() {
  const tools = args.length > 0 ? args : SANITIZERS;
  requireSome(tools, SANITIZERS);
  const env = { PATH: [process.env.PATH, '/usr/local/cuda/bin'].join(delimiter) };
  if (run('compute-sanitizer', ['--version'], { env, stdio: 'ignore' }) !== 0) {
    console.log('sanitize: skipped, compute-sanitizer is not installed');
    return SKIPPED;
  }
  const failed = [];
  for (const tool of tools) {
    for (const [name, files] of Object.entries(SANITIZED)) {
      console.log(`sanitize: ${tool} over ${name}`);
      const sanitizer = [
        'compute-sanitizer',
        '--tool',
        tool,
        '--target-processes',
        'all',
        '--require-cuda-init',
        'no',
      ];
      // Without the time of each launch no test would be over in two minutes.
      const options = ['--maxWorkers=1', '--testTimeout=600000', ...files];
      const status = vitest(name, options, {
        command: [...sanitizer, '--error-exitcode', '9', '--print-limit', '20'],
        env: { ...env, QUTLASS_TEST_SHAPES: 'small' },
      });
      if (status !== 0) failed.push(`${tool} over ${name}`);
    }
  }
  console.log(failed.length === 0 ? 'sanitize: nothing found' : `sanitize: failed: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
}

function exampleTorch() {
  if (run('python3', ['-c', 'import torch'], { stdio: 'ignore' }) !== 0) {
    console.log('example-torch: skipped, python3 with torch is not installed');
    return SKIPPED;
  }
  const library = join(root, 'packages/core-kernels/npm/linux-x64-gnu/libqutlass.so');
  return run('python3', [join(root, 'examples/python/compare_with_torch.py'), library, ...args]);
}

function testDevice() {
  return process.env.QUTLASS_TEST_DEVICE || 'cuda';
}

/** Runs the suite of a package on the test device, under a command if one is given. */
function vitest(name, options, { command: under = [], env = {} } = {}) {
  const folder = join(root, 'packages', name);
  const program = join(folder, 'node_modules/vitest/vitest.mjs');
  const [file, ...rest] = [...under, process.execPath, program, 'run', '--project', testDevice(), ...options];
  return run(file, rest, { cwd: folder, env: { QUTLASS_TEST_DEVICE: testDevice(), ...env } });
}

/** The exit code of a command; 127 if there is no such command. */
function run(file, options, { cwd = process.cwd(), env = {}, stdio = 'inherit' } = {}) {
  const { status, error } = spawnSync(file, options, { cwd, env: { ...process.env, ...env }, stdio });
  return error ? 127 : (status ?? 1);
}

function requireSome(names, known) {
  for (const name of names) {
    if (!known.includes(name))
      usageError(`expected some of ${known.join(', ')}, got ${JSON.stringify(name)}`);
  }
}

function usageError(message) {
  console.error(`${command}: ${message}\n\n${USAGE}`);
  process.exit(2);
}
