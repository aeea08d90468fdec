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

/** The names of skipped tests that say why they are. */
function skipReasons({ testResults }) {
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status, title }) => status !== 'passed' && title.includes(' skipped, '))
    .map(({ title }) => title);
}

/**
 * Adds up the results of all packages. A package that failed in another way than by a test (its build failed, it has no
 * tests, a test file could not be loaded) counts as one failure.
 */
export function sumResults(root) {
  const total = { passed: 0, failed: 0, skipped: 0, missing: [], reasons: new Set() };
  for (const folder of testedFolders(root)) {
    const file = join(root, folder, RESULTS);
    if (existsSync(file)) {
      const results = JSON.parse(readFileSync(file, 'utf8'));
      total.passed += results.numPassedTests;
      total.failed += results.success ? 0 : Math.max(1, results.numFailedTests);
      total.skipped += results.numPendingTests;
      for (const reason of skipReasons(results)) total.reasons.add(reason);
    } else {
      total.failed += 1;
      total.missing.push(folder);
    }
  }
  return total;
}
