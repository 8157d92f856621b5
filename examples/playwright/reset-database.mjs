import { execSync } from 'node:child_process';

/**
 * Puts the database back to its snapshot. In each suite that needs it as it was:
 *
 *   import { resetDatabase } from '../reset-database.mjs';
 *   test.beforeAll(resetDatabase);
 *
 * The application's connections are cut off: it has to make new ones, as a pool does.
 */
export function resetDatabase() {
  execSync('npx snapvol reset app', { stdio: 'inherit' });
}
