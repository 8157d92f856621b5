// Before each test file: gives the worker that runs it a database of its own. DATABASE_URLS comes from the workflow
// (../database-per-worker.yml) or, on your machine, from ../database-per-worker.sh.
const urls = JSON.parse(process.env.DATABASE_URLS ?? '[]');
const worker = Number(process.env.VITEST_POOL_ID); // from 1; VITEST_WORKER_ID goes beyond maxWorkers
if (worker > urls.length) {
  throw new Error(`worker ${worker} has no database: DATABASE_URLS holds ${urls.length}`);
}
process.env.DATABASE_URL = urls[worker - 1];
