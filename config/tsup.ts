import { defineConfig } from 'tsup';

/** The build of every library package: ESM for Node 20 with types; entries beside the index carry no types. */
export function library(...entries: string[]) {
  return defineConfig({
    entry: ['src/index.ts', ...entries],
    format: ['esm'],
    dts: { entry: 'src/index.ts' },
    sourcemap: true,
    clean: true,
    target: 'node20',
    treeshake: true,
  });
}
