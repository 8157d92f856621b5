#!/usr/bin/env bash
# End-to-end tests on your machine, or in any CI system; the database is reset between the suites (reset-database.mjs).
set -euo pipefail

start() {
  npx snapvol start app --image postgres:17 --port 0 \
    --key-files 'db/**' \
    --seed 'npm run db:migrate && npm run db:seed'
}

DATABASE_URL=$(start)
export DATABASE_URL
trap 'npx snapvol stop app' EXIT
npx playwright test
