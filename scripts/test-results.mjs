import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Where a package's vitest writes its results; see config/vitest.ts. */
const RESULTS = join('.vitest', 'results.json');

/** The folders of the workspace that have a `test` script. */
function testedFolders(root) {
  return workspaceFolders(root).filter((folder) => {
    const manifest = join(root, folder, 'package.json');
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).scripts?.test;
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
 * Adds up the results of all packages. A package without results (its build failed, its run crashed) counts as one
 * failure, and so does a test file that could not be loaded.
 */
export function sumResults(root) {
  const total = { passed: 0, failed: 0, missing: [] };
  for (const folder of testedFolders(root)) {
    const file = join(root, folder, RESULTS);
    if (!existsSync(file)) {
      total.failed += 1;
      total.missing.push(folder);
      continue;
    }
    const results = JSON.parse(readFileSync(file, 'utf8'));
    total.passed += results.numPassedTests;
    total.failed += results.numFailedTests;
    total.failed += results.testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
    ).length;
  }
  return total;
}
