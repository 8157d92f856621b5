import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: 'e2e',
  workers: 1, // the suites share one database, and take turns
  use: { baseURL: 'http://localhost:3000' },
  webServer: { command: 'npm start', url: 'http://localhost:3000' }, // it finds DATABASE_URL
});
