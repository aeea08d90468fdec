// Packs what the library, its tests and its benchmarks need into one archive, for a machine that has an NVIDIA driver and
// nothing else: this Node, the built packages, vitest. Unpack it there and see its run.sh.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { parseArgs } from 'node:util';

const LIMIT = 60e6;
const NAME = 'qutlass-gpu-bundle';
/** In the order of their layers. */
const PACKAGES = ['core-kernels', 'quant', 'gemm', 'layers', 'bench'];
const PLATFORM = 'packages/core-kernels/npm/linux-x64-gnu';
/** What a member of the workspace brings along besides its dependencies. */
const PARTS = ['package.json', 'tsconfig.json', 'vitest.config.ts', 'bin', 'dist', 'src', 'test'];
const FILES = [
  'package.json',
  'tsconfig.base.json',
  'config',
  'testdata',
  'packages/core-kernels/native/include',
];
/** Development dependencies that the tests import; the others build, check and document. */
const TESTED_WITH = ['vitest', 'fast-check', '@qutlass/test-support'];
/** Dependencies of those that no test reaches: compilers, types. */
const UNUSED = /^(esbuild|@esbuild\+|typescript@|@types\+)/;

const root = dirname(import.meta.dirname);
const { values } = parseArgs({
  options: { out: { type: 'string', default: join(root, '.carry', `${NAME}.tar.xz`) } },
});
const archive = resolve(values.out);

const binaries = requireBuilt();
const scratch = mkdtempSync(join(tmpdir(), 'qutlass-bundle-'));
try {
  const stage = join(scratch, NAME);
  copyRuntime(stage);
  const store = copyWorkspace(stage);
  copyStore(stage, store);
  pack(scratch);
} finally {
  rmSync(scratch, { recursive: true });
}

/** The folder of the native binary, which has to have CUDA kernels. */
function requireBuilt() {
  const missing = PACKAGES.filter((name) => !existsSync(join(root, 'packages', name, 'dist', 'index.js')));
  if (missing.length > 0) fail(`packages/{${missing.join(',')}} are not built; run "npm run build" first`);
  const library = JSON.stringify(join(root, 'packages', 'core-kernels', 'dist', 'index.js'));
  const program = `
    import { doctor } from ${library};
    const { problem = '', kernels } = doctor();
    console.log(JSON.stringify({ problem, cuda: kernels.some(({ device }) => device === 'cuda') }));`;
  const { problem, cuda } = JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' }),
  );
  if (problem) fail(problem);
  if (!cuda) fail('the native binary has no CUDA kernels; build it with nvcc installed');
  const override = process.env.QUTLASS_BINARY_PATH;
  return override ? dirname(resolve(override)) : join(root, PLATFORM);
}

function fail(message) {
  console.error(`gpu-bundle: ${message}`);
  process.exit(1);
}

function copyRuntime(stage) {
  mkdirSync(join(stage, 'bin'), { recursive: true });
  const node = join(stage, 'bin', 'node');
  copyFileSync(realpathSync(process.execPath), node);
  // Symbols are a good part of it. Without the tool they stay.
  spawnSync('strip', [node]);
  for (const file of ['run.sh', 'run.mjs'])
    copyFileSync(join(root, 'scripts', 'gpu-bundle', file), join(stage, file));
  mkdirSync(join(stage, PLATFORM), { recursive: true });
  cpSync(join(root, PLATFORM, 'package.json'), join(stage, PLATFORM, 'package.json'));
  for (const file of ['qutlass.node', 'libqutlass.so'])
    copyFileSync(join(binaries, file), join(stage, PLATFORM, file));
}

/** Copies the members of the workspace; returns the folders of the pnpm store that their dependencies are in. */
function copyWorkspace(stage) {
  for (const path of FILES) copy(path);
  const members = [...PACKAGES.map((name) => `packages/${name}`), 'test/support', 'examples'];
  for (const member of members.slice(0, -1)) for (const part of PARTS) copy(join(member, part));
  for (const name of readdirSync(join(root, 'examples')))
    if (name !== 'node_modules') copy(join('examples', name));

  const store = new Set();
  for (const member of members) {
    const { dependencies = {}, devDependencies = {}, optionalDependencies = {} } = manifest(member);
    const names = Object.keys({ ...dependencies, ...optionalDependencies });
    names.push(...Object.keys(devDependencies).filter((name) => TESTED_WITH.includes(name)));
    for (const name of names) link(join(member, 'node_modules', name));
  }
  // For config/.
  link(join('node_modules', 'vitest'));
  return store;

  function copy(path) {
    if (!existsSync(join(root, path))) return;
    cpSync(join(root, path), join(stage, path), { recursive: true });
  }

  function link(path) {
    copyLink(stage, path);
    const [folder] = relative(storeFolder(), realpathSync(join(root, path))).split(sep);
    if (folder !== '..') store.add(folder);
  }
}

function manifest(member) {
  return JSON.parse(readFileSync(join(root, member, 'package.json'), 'utf8'));
}

function storeFolder() {
  return join(root, 'node_modules', '.pnpm');
}

function copyLink(stage, path) {
  mkdirSync(dirname(join(stage, path)), { recursive: true });
  symlinkSync(readlinkSync(join(root, path)), join(stage, path));
}

/** Copies folders of the store, which hold one package each and links to what it depends on, and follows the links. */
function copyStore(stage, folders) {
  // A set gives also what is added meanwhile.
  for (const folder of folders) {
    const modules = join('node_modules', '.pnpm', folder, 'node_modules');
    for (const path of packagesIn(modules)) {
      if (!lstatSync(join(root, path)).isSymbolicLink()) {
        cpSync(join(root, path), join(stage, path), {
          recursive: true,
          filter: (file) => !/\.(map|d\.[cm]?ts|md)$/.test(file),
        });
        continue;
      }
      const [target] = relative(storeFolder(), realpathSync(join(root, path))).split(sep);
      if (UNUSED.test(target)) continue;
      copyLink(stage, path);
      folders.add(target);
    }
  }
}

/** The packages of a folder `node_modules`, those of scopes too. */
function packagesIn(modules) {
  return readdirSync(join(root, modules))
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(root, modules, name)).map((part) => join(name, part)) : [name],
    )
    .map((name) => join(modules, name));
}

function pack(scratch) {
  mkdirSync(dirname(archive), { recursive: true });
  const compress = [
    '-C',
    scratch,
    '--use-compress-program=xz --lzma2=preset=6,dict=64MiB',
    '-cf',
    archive,
    NAME,
  ];
  execFileSync('tar', ['--owner=0', '--group=0', ...compress], { stdio: ['ignore', 'inherit', 'inherit'] });
  const size = statSync(archive).size;
  const text = `${(size / 1e6).toFixed(1)} MB, ${(folderSize(join(scratch, NAME)) / 1e6).toFixed(0)} MB unpacked`;
  console.log(`${relative(process.cwd(), archive) || basename(archive)}: ${text}`);
  if (size > LIMIT) fail(`expected at most ${LIMIT / 1e6} MB, got ${(size / 1e6).toFixed(1)} MB`);
}

function folderSize(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
