#!/bin/sh
# Entrypoint of the stand-in Postgres images: what the official images promise, as far as tests need
# it. Written for any POSIX shell, because one of the images has only busybox.
set -eu

fail() { printf 'Error: %s\n' "$*" >&2; exit 1; }

# `run image -c fsync=off` means `run image postgres -c fsync=off`.
case ${1:-} in -*) set -- postgres "$@" ;; esac

# Any other command, and questions to the server's program, need no database.
[ "${1:-}" = postgres ] || exec "$@"
for arg; do
  case $arg in --version | -V | --help | '-?' | --describe-config) exec "$@" ;; esac
done

export PGDATA

prepare_folders() {
  mkdir -p "$PGDATA" /var/run/postgresql
  # Not ours to change where the container runs with another user; the server has the last word.
  chmod 0700 "$PGDATA" || :
  chmod 3775 /var/run/postgresql || :
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +
  fi
}

# Becomes the user postgres without leaving a parent process: the server must be pid 1 to get the
# stop signal. busybox has a setpriv that cannot change the user, and a su that does not fork
# (and would take the server's options for its own, were it not for the "--").
become_postgres() {
  if setpriv --help 2>&1 | grep -q reuid; then
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
  fi
  exec su -p -s /bin/sh -- postgres "$0" "$@"
}

# A volume made for an image before 18 would be left aside, and look like lost data.
refuse_old_layout() {
  [ "$PG_MAJOR" -ge 18 ] && [ "$PGDATA" = "/var/lib/postgresql/$PG_MAJOR/docker" ] || return 0
  for old in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
    [ ! -s "$old/PG_VERSION" ] ||
      fail "images of Postgres 18 and later keep their data in $PGDATA, but there is an older database in $old. Mount the volume at /var/lib/postgresql and upgrade the data."
  done
  ! grep -q ' /var/lib/postgresql/data ' /proc/self/mountinfo ||
    fail "images of Postgres 18 and later keep their data in $PGDATA, but something is mounted at /var/lib/postgresql/data (unused mount/volume). Mount it at /var/lib/postgresql."
}

require_password() {
  [ -n "${POSTGRES_PASSWORD:-}" ] || [ "${POSTGRES_HOST_AUTH_METHOD:-}" = trust ] ||
    fail 'Database is uninitialized and superuser password is not specified. Set POSTGRES_PASSWORD to a non-empty value, or POSTGRES_HOST_AUTH_METHOD=trust to let everybody in without one.'
}

init_cluster() {
  # The arguments are the user's words, with quotes of his own: hence eval.
  if [ -n "${POSTGRES_PASSWORD:-}" ]; then
    printf '%s\n' "$POSTGRES_PASSWORD" |
      eval 'initdb --username="$POSTGRES_USER" --pwfile=/dev/stdin '"${POSTGRES_INITDB_ARGS:-}"
  else
    eval 'initdb --username="$POSTGRES_USER" '"${POSTGRES_INITDB_ARGS:-}"
  fi
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
}

quoted() { for arg; do printf "'%s' " "$(printf %s "$arg" | sed "s/'/'\\\\''/g")"; done; }

# On the socket only: over TCP nobody can take the database for ready while it is being filled.
start_init_server() {
  shift # the word "postgres"
  pg_ctl -D "$PGDATA" -o "$(quoted "$@" -c listen_addresses= -p "${PGPORT:-5432}")" -w start
}

run_sql() { # DATABASE [ARGUMENT]... <SQL
  psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" --dbname "$@"
}

create_database() {
  [ "$POSTGRES_DB" != postgres ] || return 0
  # psql puts the name in, quoted: it may be any.
  echo 'CREATE DATABASE :"db";' | run_sql postgres --set db="$POSTGRES_DB"
}

run_init_files() {
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        echo "$0: running $file"
        # shellcheck disable=SC1090 # the user's file
        if [ -x "$file" ]; then "$file"; else . "$file"; fi
        ;;
      *.sql) echo "$0: running $file"; run_sql "$POSTGRES_DB" <"$file" ;;
      *.sql.gz) echo "$0: running $file"; gunzip -c "$file" | run_sql "$POSTGRES_DB" ;;
      *.sql.zst) echo "$0: running $file"; zstd -dc "$file" | run_sql "$POSTGRES_DB" ;;
      '/docker-entrypoint-initdb.d/*') ;; # the folder is empty
      *) echo "$0: ignoring $file" ;;
    esac
  done
}

prepare_folders
if [ "$(id -u)" = 0 ]; then become_postgres "$@"; fi

if [ -s "$PGDATA/PG_VERSION" ]; then
  printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
else
  refuse_old_layout
  require_password
  POSTGRES_USER=${POSTGRES_USER:-postgres}
  POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
  PGPASSWORD=${PGPASSWORD:-${POSTGRES_PASSWORD:-}}
  export POSTGRES_USER POSTGRES_DB PGPASSWORD
  init_cluster
  start_init_server "$@"
  create_database
  run_init_files
  pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
fi

exec "$@"
