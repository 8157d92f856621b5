import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    maxWorkers: 4, // as many as there are databases
    setupFiles: ['./worker-database.mjs'],
  },
});
