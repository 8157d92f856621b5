#!/bin/sh
# Entrypoint of the stand-in Redis and Valkey images: what the official images promise, as far as tests need it.
set -eu

product=redis
[ ! -e /usr/local/bin/valkey-server ] || product=valkey

# `run image --appendonly yes` means `run image redis-server --appendonly yes`.
case ${1:-} in -* | *.conf) set -- "$product-server" "$@" ;; esac
[ "${1:-}" = "$product-server" ] || exec "$@"

# The data may have been copied in by root. No parent process may be left: the server must be pid 1 to get the stop
# signal.
if [ "$(id -u)" = 0 ]; then
  find . ! -user "$product" -exec chown "$product" {} +
  exec setpriv --reuid="$product" --regid="$product" --clear-groups "$0" "$@"
fi
[ -w . ] || { echo "Error: $(pwd) is not writable for user $(id -u)" >&2; exit 1; }

# In the official images the server is compiled to be open to other hosts without a password. Debian's must be told so,
# before the user's own options: of two, the later counts. But a configuration file stays first.
shift
case ${1:-} in
  -v | --version | -h | --help | --test-memory | --check-system) ;;
  - | [!-]*)
    config=$1
    shift
    if [ -f "$config" ] && grep -Eiq '^[[:space:]]*protected-mode[[:space:]]' "$config"; then
      set -- "$config" "$@"
    else
      set -- "$config" --protected-mode no "$@"
    fi
    ;;
  *) set -- --protected-mode no "$@" ;;
esac

[ "$(umask)" != 0022 ] || umask 0077
[ "$product" = valkey ] || VALKEY_EXTRA_FLAGS=
# shellcheck disable=SC2086 # several flags in one variable
exec "$product-server" "$@" ${VALKEY_EXTRA_FLAGS:-}
