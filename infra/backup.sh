#!/usr/bin/env bash
# Back-up and restore of everything that penumbra keeps, one command each:
#
#   infra/backup.sh save FILE.tar        the state folder, and the databases where PENUMBRA_CATALOG names a PostgreSQL server
#   infra/backup.sh restore FILE.tar     into an empty or absent state folder (PENUMBRA_HOME), and into databases of the same names
#
# It waits for a run that is writing, and holds later ones up while it copies; penumbra sql goes on meanwhile. What can be made anew (compiled
# programs, the database's own files, the Prefect server's local state) is left out. incoming/ is copied as it is: links stay links.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
usage() { sed -n '2,9p' "$0" >&2; exit 2; }
fail() { echo "backup.sh: $*" >&2; exit 1; }
[ $# = 2 ] || usage
file=$(realpath -m "$2")
home=$(realpath -m "${PENUMBRA_HOME:-$root/data}")
catalog=${PENUMBRA_CATALOG:-}
databases=${catalog:+"penumbra mlflow prefect"}

case $1 in
save)
  [ -d "$home" ] || fail "no state folder $home"
  [ ! -e "$file" ] || fail "$file exists already"
  exec 8>"$home/.run-lock" && flock 8              # a run that writes
  mkdir -p "$home/store" && exec 9>"$home/store/writer.lock" && flock 9   # a single write to the store
  mkdir -p "$home/mlflow" && exec 7>"$home/mlflow/lock" && flock 7        # a registration
  rm -rf "$home/backup" && mkdir "$home/backup"
  trap 'rm -rf "$home/backup" "$file.unfinished"' EXIT
  for name in $databases; do
    pg_dump --format=custom --file="$home/backup/$name.dump" --dbname="${catalog%/*}/$name"
  done
  tar --create --file="$file.unfinished" --directory="$home" --exclude=./postgres --exclude=./prefect --exclude=./networks/compiled \
    --exclude=./.run-lock --exclude='*.lock' .
  mv "$file.unfinished" "$file"
  ;;
restore)
  [ -f "$file" ] || fail "no file $file"
  [ ! -d "$home/store" ] || fail "$home holds a store already: name another PENUMBRA_HOME, or move it away"
  mkdir -p "$home"
  tar --extract --file="$file" --directory="$home"
  for name in $databases; do
    [ -f "$home/backup/$name.dump" ] || fail "the back-up was taken without a database server"
    psql -XAtd "${catalog%/*}/postgres" -c "SELECT 1 FROM pg_database WHERE datname = '$name'" | grep -q 1 || psql -Xqd "${catalog%/*}/postgres" -c "CREATE DATABASE $name"
    pg_restore --clean --if-exists --no-owner --dbname="${catalog%/*}/$name" "$home/backup/$name.dump"
  done
  rm -rf "$home/backup"
  ;;
*) usage ;;
esac
