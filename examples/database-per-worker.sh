#!/usr/bin/env bash
# Runs parallel tests on your machine, with a database for each of four workers: see jest/ and vitest/.
#   database-per-worker.sh npx jest
set -euo pipefail

start() {
  npx snapvol start app --image postgres:17 --port 0 --clones 4 \
    --key-files 'db/**' \
    --seed 'npm run db:migrate && npm run db:seed'
}

# It prints a URL a line, that of app itself first: jq passes over it.
DATABASE_URLS=$(start | jq --raw-input --compact-output '[inputs]')
export DATABASE_URLS
trap 'npx snapvol stop app' EXIT # and its clones
"$@"
