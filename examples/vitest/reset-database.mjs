// Before each test file, and before anything of it connects: puts the worker's own database back to its snapshot. Who is
// still connected is cut off, so close connections in `afterAll`.
import { execSync } from 'node:child_process';

execSync(`npx snapvol reset app-${process.env.VITEST_POOL_ID} --quiet`);
