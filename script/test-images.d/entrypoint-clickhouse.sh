#!/bin/bash
# Entrypoint of the stand-in ClickHouse image: what the official image promises, as far as tests need it.
set -euo pipefail
shopt -s nullglob

# Any other command than the server's own options needs no database.
if (($# > 0)) && [[ $1 != --* ]]; then exec "$@"; fi

data=/var/lib/clickhouse
user=${CLICKHOUSE_USER:-default}
password=${CLICKHOUSE_PASSWORD:-}
server=(/usr/bin/clickhouse-server "--config-file=$CLICKHOUSE_CONFIG")
as_user=()

# Becomes the user clickhouse without leaving a parent process: the server must be pid 1 to get the stop signal.
if ((UID == 0)); then
  as_user=(setpriv --reuid=clickhouse --regid=clickhouse --clear-groups)
  [[ $(stat -c %u:%g $data) == "$(id -u clickhouse):$(id -g clickhouse)" ]] || chown -R clickhouse:clickhouse $data
fi

# The place of the user "default" is taken by the wanted one; without any wish, it stays, but only for this container
# itself. Written anew at every start: the container may be a new one, with old data.
set_up_user() {
  local networks='<ip>::/0</ip>' hash
  if [[ $user == default && ! $password && ${CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT:-0} == 0 ]]; then
    echo "$0: neither CLICKHOUSE_USER nor CLICKHOUSE_PASSWORD is set, disabling network access for user 'default'"
    networks='<ip>::1</ip><ip>127.0.0.1</ip>'
  fi
  # A hash needs no escapes. This old version knows no access management by SQL.
  hash=$(printf %s "$password" | sha256sum)
  cat >/etc/clickhouse-server/users.d/default-user.xml <<XML
<yandex><users>
  <default remove="remove"></default>
  <$user>
    <profile>default</profile>
    <quota>default</quota>
    <networks>$networks</networks>
    <password_sha256_hex>${hash%% *}</password_sha256_hex>
  </$user>
</users></yandex>
XML
}

client() { clickhouse-client --multiquery --host 127.0.0.1 --user "$user" --password "$password" "$@"; }

run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        echo "$0: running $file"
        # shellcheck disable=SC1090 # the user's file
        if [[ -x $file ]]; then "$file"; else . "$file"; fi
        ;;
      *.sql) echo "$0: running $file"; client <"$file" ;;
      *.sql.gz) echo "$0: running $file"; gunzip -c "$file" | client ;;
      *) echo "$0: ignoring $file" ;;
    esac
  done
}

init_database() {
  local pid tries=${CLICKHOUSE_INIT_TIMEOUT:-1000}
  # Only this container can reach it until all is in place; but from inside it looks like the real one.
  "${as_user[@]}" "${server[@]}" -- --listen_host=127.0.0.1 &
  pid=$!
  until wget -q -T 1 --spider http://127.0.0.1:8123/ping; do
    if ((tries-- <= 0)) || ! kill -0 "$pid"; then echo 'ClickHouse init process failed.' >&2; exit 1; fi
    sleep 0.2
  done
  [[ ! ${CLICKHOUSE_DB:-} ]] || client --query "CREATE DATABASE IF NOT EXISTS $CLICKHOUSE_DB"
  run_init_files
  kill "$pid"
  wait "$pid" || { echo 'Finishing of ClickHouse init process failed.' >&2; exit 1; }
}

cd $data
[[ ${CLICKHOUSE_SKIP_USER_SETUP:-0} == 1 ]] || set_up_user
init_files=(/docker-entrypoint-initdb.d/*)
if [[ -d $data/data && ! ${CLICKHOUSE_ALWAYS_RUN_INITDB_SCRIPTS:-} ]]; then
  echo 'ClickHouse Database directory appears to contain a database; Skipping initialization'
elif [[ ${CLICKHOUSE_DB:-} ]] || ((${#init_files[@]} > 0)); then
  init_database
fi

exec "${as_user[@]}" "${server[@]}" "$@"
