import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    maxWorkers: 4, // as many as there are databases
    // The second is for tests that change data.
    setupFiles: ['./worker-database.mjs', './reset-database.mjs'],
  },
});
