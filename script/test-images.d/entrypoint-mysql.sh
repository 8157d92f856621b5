#!/bin/bash
# Entrypoint of the stand-in MySQL and MariaDB images: what the official images promise, as far as tests need it.
# No "set -u": init files that are sourced must find what the official entrypoint gives them.
set -eo pipefail
shopt -s nullglob

if [[ ${MARIADB_VERSION:-} ]]; then
  server=mariadbd client=mariadb product=MariaDB prefixes=(MYSQL MARIADB)
else
  server=mysqld client=mysql product=MySQL prefixes=(MYSQL)
fi
datadir=/var/lib/mysql
socket=/run/mysqld/mysqld.sock

note() { printf '%(%F %T)T [Note] [Entrypoint]: %s\n' -1 "$*"; }
warn() { printf '%(%F %T)T [Warn] [Entrypoint]: %s\n' -1 "$*" >&2; }
fail() { printf '%(%F %T)T [ERROR] [Entrypoint]: %s\n' -1 "$*" >&2; exit 1; }

# `run image --innodb-doublewrite=OFF` means `run image mysqld --innodb-doublewrite=OFF`.
[[ ${1:-} != -* ]] || set -- "$server" "$@"

# Any other command, and questions to the server's program, need no database.
[[ ${1:-} == "$server" ]] || exec "$@"
for arg; do
  case $arg in
    --version | -V | --help | '-?' | --print-defaults) exec "$@" ;;
    --datadir=*) datadir=${arg#*=} ;;
  esac
done

# setting NAME [DEFAULT]: exports MYSQL_NAME, or what NAME_FILE has. MariaDB's own name wins, and init files find the
# value in both.
setting() {
  local prefix variable file value=${2:-}
  for prefix in "${prefixes[@]}"; do
    variable=${prefix}_$1 file=${prefix}_${1}_FILE
    if [[ ${!variable:-} ]]; then value=${!variable}; elif [[ ${!file:-} ]]; then value=$(<"${!file}"); fi
  done
  for prefix in "${prefixes[@]}"; do export "${prefix}_$1=$value"; done
}

prepare_folders() {
  mkdir -p "$datadir" "${socket%/*}"
  if ((EUID == 0)); then
    find "$datadir" "${socket%/*}" ! -user mysql -exec chown --no-dereference mysql:mysql {} +
  fi
}

require_password() {
  local prefix=${prefixes[-1]}
  [[ $MYSQL_ROOT_PASSWORD || ${MYSQL_ALLOW_EMPTY_PASSWORD:-} || ${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-} ]] ||
    fail "Database is uninitialized and password option is not specified. Set ${prefix}_ROOT_PASSWORD."
  if [[ $MYSQL_USER == root ]]; then
    fail "${prefix}_USER=root: it is for another user. Remove it; ${prefix}_ROOT_PASSWORD is for root."
  fi
  if [[ $MYSQL_USER && ! $MYSQL_PASSWORD ]]; then warn "${prefix}_USER has no password and will not be created."; fi
}

init_files() {
  local arg
  local -a args=()
  note 'Initializing database files'
  if [[ $server == mysqld ]]; then
    "$@" --initialize-insecure --default-time-zone=SYSTEM
  else
    # It passes its arguments on without quotes.
    for arg in "${@:2}"; do
      if [[ $arg == *[[:space:]*?[]* ]]; then warn "Not used for the initialization: $arg"; else args+=("$arg"); fi
    done
    # Its output is advice on what to do next, but for errors.
    mariadb-install-db --datadir="$datadir" --rpm --cross-bootstrap --auth-root-authentication-method=normal \
      --skip-test-db "${args[@]}" --skip-log-bin >/dev/null
  fi
}

# docker_process_sql [ARGUMENT]... <SQL: as root, in the wanted database. Init files that are sourced know this name.
# They also use the array.
root_password=
docker_process_sql() {
  MYSQL_PWD=$root_password "$client" --protocol=socket --socket="$socket" --user=root --default-character-set=utf8mb4 \
    --comments --database="$MYSQL_DATABASE" "$@"
}
# shellcheck disable=SC2034 # the init files do
mysql=(docker_process_sql)

# On the socket only: over TCP nobody can take the database for ready while it is being filled.
start_init_server() {
  note 'Starting temporary server'
  rm -f "$socket" # of a container that was killed
  "$@" --skip-networking --socket="$socket" --default-time-zone=SYSTEM &
  init_server=$!
  until [[ -S $socket ]] && docker_process_sql --database= <<<'SELECT 1' >/dev/null 2>&1; do
    kill -0 "$init_server" 2>/dev/null || fail 'Unable to start server.'
    sleep 0.1
  done
}

stop_init_server() {
  note 'Stopping temporary server'
  kill "$init_server"
  wait "$init_server" || fail 'The temporary server failed.'
}

# With an sql_mode in which both of these hold.
string() { local text=${1//\\/\\\\}; printf "'%s'" "${text//\'/\'\'}"; }
name() { printf '`%s`' "${1//\`/\`\`}"; }
# In a GRANT the name is a pattern.
name_pattern() { local text=${1//\\/\\\\}; text=${text//_/\\_}; name "${text//%/\\%}"; }

setup_database() {
  local user
  {
    echo "SET autocommit = 1; SET SESSION sql_mode = ''; SET SESSION sql_log_bin = 0;"
    # MariaDB has them, without a password. They would go before root@'%'.
    echo "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';"
    if [[ $MYSQL_ROOT_HOST && $MYSQL_ROOT_HOST != localhost ]]; then
      user="'root'@$(string "$MYSQL_ROOT_HOST")"
      echo "CREATE USER $user IDENTIFIED BY $(string "$MYSQL_ROOT_PASSWORD");"
      echo "GRANT ALL ON *.* TO $user WITH GRANT OPTION;"
    fi
    echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(string "$MYSQL_ROOT_PASSWORD");"
    # A replica must get these.
    echo 'SET SESSION sql_log_bin = 1;'
    if [[ $MYSQL_DATABASE ]]; then echo "CREATE DATABASE IF NOT EXISTS $(name "$MYSQL_DATABASE");"; fi
    if [[ $MYSQL_USER && $MYSQL_PASSWORD ]]; then
      user="$(string "$MYSQL_USER")@'%'"
      echo "CREATE USER $user IDENTIFIED BY $(string "$MYSQL_PASSWORD");"
      if [[ $MYSQL_DATABASE ]]; then echo "GRANT ALL ON $(name_pattern "$MYSQL_DATABASE").* TO $user;"; fi
    fi
  } | docker_process_sql --database= --binary-mode # no bytes of a name or a password mean anything to the client
  root_password=$MYSQL_ROOT_PASSWORD
}

run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        note "$0: running $file"
        # shellcheck disable=SC1090 # the user's file
        if [[ -x $file ]]; then "$file"; else . "$file"; fi
        ;;
      *.sql) note "$0: running $file"; docker_process_sql <"$file" ;;
      *.sql.gz) note "$0: running $file"; gunzip -c "$file" | docker_process_sql ;;
      *.sql.zst) note "$0: running $file"; zstd -dc "$file" | docker_process_sql ;;
      *) warn "$0: ignoring $file" ;;
    esac
  done
}

# Whether MariaDB's data are of an older series (10.11, 11.8) than the server. The file had another name before 11.
upgrade_is_needed() {
  local info old new
  for info in "$datadir"/{mariadb,mysql}_upgrade_info; do [[ ! -f $info ]] || break; done
  [[ -f $info ]] || { note 'MariaDB upgrade information missing, assuming required'; return 0; }
  IFS=.- read -ra old <"$info" || : # it ends without a newline
  IFS=.+ read -ra new <<<"${MARIADB_VERSION#*:}"
  ((old[0] * 1000 + old[1] < new[0] * 1000 + new[1]))
}

upgrade() {
  start_init_server "$@" --skip-grant-tables
  note 'Starting mariadb-upgrade'
  mariadb-upgrade --socket="$socket" --upgrade-system-tables
  note 'Finished mariadb-upgrade'
  stop_init_server
}

if ((EUID == 0)); then
  prepare_folders
  # No parent process may stay: the server must be pid 1 to get the stop signal.
  exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" "$@"
fi
prepare_folders
note "Entrypoint of $product ${MARIADB_VERSION:-${MYSQL_VERSION:-}}"

if [[ ! -d $datadir/mysql ]]; then
  setting ROOT_PASSWORD
  setting ROOT_HOST %
  setting DATABASE
  setting USER
  setting PASSWORD
  require_password
  init_files "$@"
  start_init_server "$@"
  setup_database
  run_init_files
  stop_init_server
  printf '\n'
  note "$product init process done. Ready for start up."
  printf '\n'
elif [[ $server == mariadbd ]]; then
  if ! upgrade_is_needed; then
    note 'MariaDB upgrade not required'
  elif [[ ${MARIADB_AUTO_UPGRADE:-0} == 0 ]]; then
    note 'MariaDB upgrade required, but skipped: MARIADB_AUTO_UPGRADE is not set'
  else
    upgrade "$@"
  fi
fi

exec "$@"
