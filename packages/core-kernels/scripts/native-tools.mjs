import { spawnSync } from 'node:child_process';

const runs = (command) => spawnSync(command, ['--version']).status === 0;

// cmake-js takes Ninja where it is installed, and Make otherwise.
const TOOLS = [
  { any: ['cmake'], purpose: 'to configure the native build', package: 'cmake' },
  { any: [process.env.CXX ?? 'g++'], purpose: 'to compile the kernels (C++20)', package: 'g++' },
  { any: ['ninja', 'make'], purpose: 'to run the native build', package: 'make' },
];

/** The tools of the native build that are absent, each as a line that says how to get it. */
export function missingNativeTools() {
  return TOOLS.filter(({ any }) => !any.some(runs)).map(
    ({ any, purpose, package: name }) =>
      `"${any.join('" or "')}" is needed ${purpose} (Debian, Ubuntu: apt-get install ${name})`,
  );
}
