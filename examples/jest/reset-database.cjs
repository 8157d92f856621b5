// Before each test file, and before anything of it connects: puts the worker's own database back to its snapshot. Who is
// still connected is cut off, so close connections in `afterAll`.
const { execSync } = require('node:child_process');

execSync(`npx snapvol reset app-${process.env.JEST_WORKER_ID} --quiet`);
