// Builds the native library and addon with CMake and puts them into the platform package.
import { copyFileSync, cpSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { compileNative } from './compile-native.mjs';
import { missingNativeTools } from './native-tools.mjs';

const root = join(import.meta.dirname, '..');
const platform = join(root, 'npm', 'linux-x64-gnu');

if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.error(`qutlass: no native build for ${process.platform}-${process.arch} yet; expected linux-x64.`);
  process.exit(1);
}

const missing = missingNativeTools();
if (missing.length > 0) {
  for (const line of missing) console.error(`qutlass: ${line}.`);
  process.exit(1);
}

compileNative();

mkdirSync(join(platform, 'include'), { recursive: true });
for (const file of ['qutlass.node', 'libqutlass.so']) {
  // A process may have the old file mapped; renaming gives it a new one and leaves the process alone.
  copyFileSync(join(root, 'build', 'Release', file), join(platform, `${file}.new`));
  renameSync(join(platform, `${file}.new`), join(platform, file));
}
cpSync(join(root, 'native', 'include'), join(platform, 'include'), { recursive: true });
