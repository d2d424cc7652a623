#!/usr/bin/env bash
# PostgreSQL for the store's catalog, on loopback: Debian's package, a data folder of its own, an unprivileged user.
#
#   apt-get install -y postgresql                        once; the packaged cluster is not used and may stay stopped
#   export PGPASSWORD=...                                of the role penumbra; the environment is the only place where it is read
#   infra/postgres.sh start /var/lib/penumbra/pg 5433    makes the cluster when the folder is empty, starts it, prints the URI
#   export PENUMBRA_CATALOG=postgresql://penumbra@127.0.0.1:5433/penumbra
#   infra/postgres.sh stop /var/lib/penumbra/pg
#
# POSTGRES_OPTIONS: further settings of the server, such as "-c fsync=off" for tests. POSTGRES_STOP: smart, fast (default) or immediate.
set -euo pipefail

usage() { sed -n '2,10p' "$0" >&2; exit 2; }
fail() { echo "postgres.sh: $*" >&2; exit 1; }

[ $# -ge 2 ] || usage
action=$1 folder=$2 port=${3:-5433}
programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -x "${programs:-}/postgres" ] || fail "PostgreSQL is not installed: apt-get update && apt-get install -y postgresql"
if [ "$(id -u)" = 0 ]; then  # the server refuses to run as root; Debian's package has made its user
  as() { (cd / && runuser -u postgres -- "$@"); }
else
  as() { "$@"; }
fi

case $action in
start)
  [ -n "${PGPASSWORD:-}" ] || fail "set PGPASSWORD to the password of the role penumbra"
  mkdir -p "$folder"
  chmod 700 "$folder"
  [ "$(id -u)" != 0 ] || chown postgres: "$folder"
  if [ ! -s "$folder/data/PG_VERSION" ]; then
    rm -rf "$folder/data" "$folder/unfinished"
    trap 'rm -f "$folder/password"' EXIT  # initdb takes it from a file only
    (umask 077; echo "$PGPASSWORD" >"$folder/password")
    [ "$(id -u)" != 0 ] || chown postgres: "$folder/password"
    as "$programs/initdb" --pgdata "$folder/unfinished" --username penumbra --pwfile "$folder/password" --auth scram-sha-256 \
      --encoding UTF8 --no-locale >/dev/null || fail "initdb failed in $folder"
    rm -f "$folder/password"
    mv "$folder/unfinished" "$folder/data"  # a start that was stopped here is begun again
  fi
  as "$programs/pg_ctl" status --pgdata "$folder/data" >/dev/null ||
    as "$programs/pg_ctl" start --wait --silent --pgdata "$folder/data" --log "$folder/log" \
      --options "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='' -c max_connections=200 ${POSTGRES_OPTIONS:-}" ||
    { as tail -n 5 "$folder/log" >&2; fail "the server did not start on port $port"; }
  uri=postgresql://penumbra@127.0.0.1:$port
  [ "$("$programs/psql" -XAtd "$uri/postgres" -c "SELECT count(*) FROM pg_database WHERE datname = 'penumbra'")" = 1 ] ||
    "$programs/psql" -Xqd "$uri/postgres" -c "CREATE DATABASE penumbra"
  echo "$uri/penumbra"
  ;;
stop)
  as "$programs/pg_ctl" stop --wait --silent --mode "${POSTGRES_STOP:-fast}" --pgdata "$folder/data"
  ;;
*)
  usage
  ;;
esac
