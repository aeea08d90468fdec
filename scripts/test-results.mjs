import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Where a package's vitest writes its results; see config/vitest.ts. */
const RESULTS = join('.vitest', 'results.json');

/** The folders of the workspace that vitest tests; other test scripts only have an exit code. */
function testedFolders(root) {
  return workspaceFolders(root).filter((folder) => {
    const manifest = join(root, folder, 'package.json');
    return (
      existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).scripts?.test?.includes('vitest')
    );
  });
}

// Of the patterns that pnpm knows only `folder` and `folder/*` are in use; a YAML parser is not there before the install.
function workspaceFolders(root) {
  const text = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8');
  const [, list = ''] = /^packages:\n((?:\s+- .*\n)+)/m.exec(text) ?? [];
  const patterns = [...list.matchAll(/- ["']?([^"'\s]+)/g)].map(([, pattern]) => pattern);
  return patterns.flatMap((pattern) => {
    if (!pattern.endsWith('/*')) return [pattern];
    const parent = pattern.slice(0, -2);
    return readdirSync(join(root, parent)).map((name) => `${parent}/${name}`);
  });
}

/** Removes the results of earlier runs; turbo puts those of cached runs back. */
export function clearResults(root) {
  for (const folder of testedFolders(root)) rmSync(join(root, folder, RESULTS), { force: true });
}

/**
 * Adds up the results of all packages. A package that failed in another way than by a test (its build failed, it has no
 * tests, a test file could not be loaded) counts as one failure.
 */
export function sumResults(root) {
  const total = { passed: 0, failed: 0, missing: [] };
  for (const folder of testedFolders(root)) {
    const file = join(root, folder, RESULTS);
    if (existsSync(file)) {
      const { success, numPassedTests, numFailedTests } = JSON.parse(readFileSync(file, 'utf8'));
      total.passed += numPassedTests;
      total.failed += success ? 0 : Math.max(1, numFailedTests);
    } else {
      total.failed += 1;
      total.missing.push(folder);
    }
  }
  return total;
}
