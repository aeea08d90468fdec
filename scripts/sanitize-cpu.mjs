// Runs the suites on native code that GCC's sanitizers or valgrind watch, once for every instruction set. The code is built
// without CUDA, in a folder of its own; the packages' builds stay what they are.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { compileNative } from '../packages/core-kernels/scripts/compile-native.mjs';
import { missingNativeTools } from '../packages/core-kernels/scripts/native-tools.mjs';

const USAGE = `usage: npm run sanitize:cpu -- [checkers] [packages] [instruction sets] [-- arguments of vitest]
  checkers          asan (AddressSanitizer and UndefinedBehaviorSanitizer over the suites),
                    valgrind (memcheck over suites with small shapes)
  packages          core-kernels, quant, gemm, layers
  instruction sets  generic, avx2, avx512, avx512bf16, amx

Of what is not named, all. It needs the built packages (npm run build), GCC with its sanitizers, and valgrind with its
header.`;

const PACKAGES = ['core-kernels', 'quant', 'gemm', 'layers'];
const ISAS = ['generic', 'avx2', 'avx512', 'avx512bf16', 'amx'];

const root = dirname(import.meta.dirname);

const CHECKERS = {
  asan: {
    // Conversions of floating-point numbers that are out of range are not part of "undefined".
    sanitize: 'address;undefined;float-cast-overflow',
    isas: ISAS,
    files: {
      // Left out: which binary is loaded, and the C library, which is not the one that is watched.
      'core-kernels': without('src/loader.test.ts', 'src/doctor.test.ts', 'test/c-example.test.ts'),
      quant: [],
      gemm: [],
      // Left out: how large the process gets, and whole evaluations of models, which take most of the time.
      layers: without('test/memory.test.ts', 'test/accuracy.test.ts'),
    },
    prepare: () => ({
      env: {
        LD_PRELOAD: ['libasan.so', 'libubsan.so'].map(runtimeLibrary).join(' '),
        // Node leaves much to the end of the process, and tests ask for more memory than there is.
        ASAN_OPTIONS: 'detect_leaks=0:halt_on_error=1:allocator_may_return_null=1',
        UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
      },
    }),
  },
  valgrind: {
    sanitize: 'valgrind',
    // It has no AVX-512, and tells programs so.
    isas: ['generic', 'avx2'],
    // One process: in one of the forks it would also have to watch what starts them.
    options: ['--pool=threads', '--maxWorkers=1'],
    files: {
      'core-kernels': ['test/operations.test.ts', 'test/model-operations.test.ts'],
      quant: ['test/operations.test.ts'],
      gemm: ['test/operations.test.ts', 'test/activations.test.ts', 'test/conformance.test.ts'],
      layers: ['src/fp4.test.ts', 'src/modules/linear.test.ts', 'src/modules/kv-cache.test.ts'],
    },
    prepare: () => ({
      command: [
        tool('valgrind'),
        '--quiet',
        '--error-exitcode=9',
        '--num-callers=24',
        `--suppressions=${join(import.meta.dirname, 'valgrind.supp')}`,
      ],
      env: { QUTLASS_TEST_SHAPES: 'small' },
    }),
  },
};

const args = process.argv.slice(2);
if (args.includes('--help')) {
  console.log(USAGE);
  process.exit(0);
}
const end = args.includes('--') ? args.indexOf('--') : args.length;
const [names, vitestArguments] = [args.slice(0, end), args.slice(end + 1)];
const unknown = names.find((name) => ![...Object.keys(CHECKERS), ...PACKAGES, ...ISAS].includes(name));
if (unknown !== undefined) {
  console.error(`sanitize: unexpected ${JSON.stringify(unknown)}\n\n${USAGE}`);
  process.exit(2);
}
requireBuilt();

const runs = chosen(Object.keys(CHECKERS)).flatMap(check);
if (runs.length === 0) fail('nothing was run, everything that was asked for is skipped');
const failed = runs.filter(({ status }) => status !== 0).map(({ title }) => title);
console.log(failed.length === 0 ? 'sanitize: nothing found' : `sanitize: failed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;

/** Those that the arguments name; all if they name none. */
function chosen(known) {
  const some = known.filter((name) => names.includes(name));
  return some.length > 0 ? some : known;
}

/** Builds the native code and runs the suites on it; returns the runs. */
function check(name) {
  const { sanitize, isas, files, options = [], prepare } = CHECKERS[name];
  const { command = [], env } = prepare();
  const folder = join('build', `sanitize-${name}`);
  compileNative(['--out', folder, '--target', 'qutlass', `--CDQUTLASS_SANITIZE=${sanitize}`], {
    QUTLASS_CUDA: '0',
  });
  env.QUTLASS_BINARY_PATH = join(root, 'packages', 'core-kernels', folder, 'Release', 'qutlass.node');

  const runs = [];
  for (const isa of chosen(ISAS)) {
    env.QUTLASS_ISA = isa;
    if (!isas.includes(isa) || usedIsa(env) !== isa) {
      console.log(`sanitize: ${isa} skipped, ${isas.includes(isa) ? 'this machine' : name} does not have it`);
      continue;
    }
    for (const part of chosen(PACKAGES)) {
      const title = `${name} over ${part} (${isa})`;
      console.log(`sanitize: ${title}`);
      runs.push({ title, status: vitest(part, [...options, ...files[part]], command, env) });
    }
  }
  return runs;
}

/** The instruction set that the library takes. */
function usedIsa(env) {
  const library = JSON.stringify(join(root, 'packages', 'core-kernels', 'dist', 'index.js'));
  const program = `
    import { Device } from ${library};
    console.log(Device.open('cpu').info.isa);`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  if (status !== 0) fail(`the library could not be loaded:\n${stderr}`);
  return stdout.trim();
}

function vitest(part, options, command, env) {
  const folder = join(root, 'packages', part);
  const [file, ...rest] = [
    ...command,
    process.execPath,
    join(folder, 'node_modules', 'vitest', 'vitest.mjs'),
    ...['run', '--project', 'native'],
    // Results in a file are those of `npm test`.
    '--reporter=default',
    // What takes milliseconds may take minutes.
    '--testTimeout=3600000',
    ...options,
    ...vitestArguments,
  ];
  return spawnSync(file, rest, { cwd: folder, env: { ...process.env, ...env }, stdio: 'inherit' }).status;
}

function without(...files) {
  return files.flatMap((file) => ['--exclude', file]);
}

/** The path of a library of the compiler, which has to be loaded before everything else. */
function runtimeLibrary(name) {
  const compiler = process.env.CXX ?? 'g++';
  const { stdout } = spawnSync(compiler, [`-print-file-name=${name}`], { encoding: 'utf8' });
  const path = stdout?.trim() ?? '';
  if (!isAbsolute(path)) fail(`${compiler} has no ${name}; GCC's sanitizers are needed`);
  return path;
}

function tool(name) {
  if (spawnSync(name, ['--version']).status !== 0) {
    fail(`"${name}" is needed (Debian, Ubuntu: apt-get install ${name})`);
  }
  return name;
}

function requireBuilt() {
  const missing = missingNativeTools();
  if (missing.length > 0) fail(missing.join('\n'));
  const unbuilt = PACKAGES.filter((name) => !existsSync(join(root, 'packages', name, 'dist', 'index.js')));
  if (unbuilt.length > 0) fail(`packages/{${unbuilt.join(',')}} are not built; run "npm run build" first`);
}

function fail(message) {
  console.error(`sanitize: ${message}`);
  process.exit(1);
}
