import { defineConfig } from 'vitest/config';

/** Forks, not threads: a crashed or memory-hungry test file takes nothing else with it. Two workers, as the machines that check the project have two cores. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    restoreMocks: true,
    coverage: { provider: 'v8', include: ['arch/**', 'core/**', 'traces/**', 'reports/**', 'cli/**'] },
  },
});
