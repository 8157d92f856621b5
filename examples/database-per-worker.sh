#!/usr/bin/env bash
# Runs parallel tests on your machine, with a database for each of four workers: see jest/ and vitest/.
#   database-per-worker.sh npx jest
set -euo pipefail

start() {
  npx snapvol start app --image postgres:17 --port 0 --clones 4 --json \
    --key-files 'db/**' \
    --seed 'npm run db:migrate && npm run db:seed'
}

DATABASE_URLS=$(start | jq --compact-output '[.clones[].url]')
export DATABASE_URLS
trap 'npx snapvol stop app' EXIT # and its clones
"$@"
