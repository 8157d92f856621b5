#!/usr/bin/env bash
# A database for local tests: seeded once, back in seconds after each change of branch.
set -euo pipefail

start() {
  npx snapvol start app --image postgres:17 --port 0 \
    --key-files 'db/**' \
    --seed 'npm run db:migrate && npm run db:seed'
}

DATABASE_URL=$(start)
export DATABASE_URL
trap 'npx snapvol stop app' EXIT
npm test
