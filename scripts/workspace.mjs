// The commands of a fresh clone: npm run setup, npm test, npm run demo. They need Node, npm, cmake and a C++ compiler;
// pnpm in the pinned version, the dependencies and the build come by themselves, once.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { missingNativeTools } from '../packages/core-kernels/scripts/native-tools.mjs';
import { installDependencies } from './pnpm.mjs';
import { clearResults, sumResults } from './test-results.mjs';

const USAGE = `usage: node scripts/workspace.mjs <command>
  setup             installs the dependencies
  test              builds, lints, type-checks and tests everything
  demo [arguments]  builds the packages and runs "qutlass-bench demo" with the arguments
  run <tasks>       runs tasks of turbo.json, such as build, typecheck, bench, docs:build`;

/** Steps that come from the cache say no more than that. */
const TURBO_RUN = ['run', '--output-logs=new-only'];
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const CHECKS = ['build', 'lint', 'typecheck', 'test', 'docs:build'];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [command, ...args] = process.argv.slice(2);
const commands = { setup, test, demo, run: runTasks };

if (!Object.hasOwn(commands, command ?? '')) {
  console.error(USAGE);
  process.exit(2);
}
checkTools();
await commands[command]();

async function setup() {
  await installDependencies(root, runOrExit);
}

async function test() {
  const env = await installDependencies(root, runOrExit);
  clearResults(root);
  env.QUTLASS_GPU_DRIVER = gpuDriver();
  // What does not depend on a failure goes on, so that one run shows all failures.
  const goOn = '--continue=dependencies-successful';
  const status = await run('turbo', [...TURBO_RUN, ...CHECKS, goOn], env, 'inherit');
  const { passed, failed, skipped, missing, reasons } = sumResults(root);
  for (const folder of missing) console.log(`${folder}: no test results, see above`);
  if (status !== 0) console.log(`npm test: failed with exit code ${status}, see above`);
  for (const reason of reasons) console.log(reason);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = status || Number(failed > 0);
}

/** The driver of the GPUs: results without one are not taken from the cache when there is one. */
function gpuDriver() {
  const file = '/proc/driver/nvidia/version';
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n', 1)[0] : '';
}

async function demo() {
  const env = await installDependencies(root, runOrExit);
  await runOrExit('turbo', [...TURBO_RUN, 'build', '--filter=@qutlass/bench...'], env);
  const bin = join(root, 'packages', 'bench', 'bin', 'qutlass-bench.mjs');
  process.exitCode = await run(process.execPath, [bin, 'demo', ...args], env, 'inherit');
}

async function runTasks() {
  const env = await installDependencies(root, runOrExit);
  process.exitCode = await run('turbo', [...TURBO_RUN, ...args], env, 'inherit');
}

function checkTools() {
  const problems = missingNativeTools();
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const wanted = engines.node.replace('>=', '');
  if (isOlder(process.versions.node, wanted)) {
    problems.unshift(`Node ${wanted} or newer is needed, this is ${process.version}`);
  }
  if (problems.length === 0) return;
  for (const problem of problems) console.error(`qutlass: ${problem}.`);
  process.exit(1);
}

function isOlder(version, wanted) {
  const [a, b] = [version, wanted].map((text) => text.split('.').map(Number));
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}

/** Runs a step of the set-up; its output goes to stderr, so that stdout has only what the command itself prints. */
async function runOrExit(file, args, env) {
  const status = await run(file, args, env, ['inherit', process.stderr, process.stderr]);
  if (status !== 0) {
    console.error(`qutlass: "${[file, ...args].join(' ')}" failed with exit code ${status}.`);
    process.exit(status);
  }
}

/** Resolves to the exit code of the command. */
function run(file, args, env, stdio) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: root, env, stdio });
    // The terminal signals the whole process group; whoever signals only this process means its command too.
    const forward = (signal) => child.kill(signal);
    for (const signal of SIGNALS) process.on(signal, forward);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      for (const name of SIGNALS) process.off(name, forward);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}
