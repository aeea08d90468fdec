import { defineConfig } from 'vitest/config';

/** The results of the last run, which `npm test` adds up; turbo keeps the file together with the cached run. */
const results = '.vitest/results.json';

// Forks, because a native addon belongs to one process.
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', 'json'],
    outputFile: { json: results },
  },
});
