import { join } from 'node:path';

/** The executables of other Node releases, by major version. */
export const nodeVersions = {
  22: join(import.meta.dirname, 'node_modules', 'node-22', 'bin', 'node'),
  24: join(import.meta.dirname, 'node_modules', 'node-24', 'bin', 'node'),
};
