#!/usr/bin/env bash
# No CI system at all: the volumes of a running container are saved, brought to another machine, and restored there.
#   shell.sh save | restore | prune
set -euo pipefail

# A folder that both machines see, or that is copied: "rsync -a" keeps the times, which prune goes by.
export SNAPVOL_STORE=file:/srv/snapshots

snapvol() { npx snapvol "$@"; }

case ${1:?save, restore or prune} in
  save)
    # Stopped cleanly for the copy, and started again. The key is shop-YYYYMMDD-HHMMSS.
    snapvol save shop --container shop-db-1 --stop-timeout 2m
    ;;
  restore)
    # The newest of this name, every byte verified. A volume that holds something is refused: see --overwrite.
    snapvol restore shop --rename shop_db=copy_db
    ;;
  prune)
    snapvol prune shop --keep-last 3 --keep-within 7d --protect shop
    snapvol verify --name shop --sample 1
    ;;
  *)
    echo "$0: there is no $1" >&2
    exit 2
    ;;
esac
