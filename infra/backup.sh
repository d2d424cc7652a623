#!/usr/bin/env bash
# Back-up and restore of everything that penumbra keeps, one command each:
#
#   infra/backup.sh save FILE.tar        the state folder, and the databases where PENUMBRA_CATALOG names a PostgreSQL server
#   infra/backup.sh restore FILE.tar     into an empty or absent state folder (PENUMBRA_HOME), and into databases of the same names
#
# Where the store's files are on object storage (PENUMBRA_FILES), the back-up holds an export of the store instead of its catalog, and restoring
# imports it to where PENUMBRA_FILES and PENUMBRA_CATALOG say then: the back-up needs none of the objects, and shares none with the first store.
#
# It waits for a run that is writing, and holds later ones up while it copies; penumbra sql goes on meanwhile. What can be made anew (compiled
# programs, the database's own files, the Prefect server's local state) is left out. incoming/ is copied as it is: links stay links.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
usage() { sed -n '2,12p' "$0" >&2; exit 2; }
fail() { echo "backup.sh: $*" >&2; exit 1; }
[ $# = 2 ] || usage
file=$(realpath -m "$2")
home=$(realpath -m "${PENUMBRA_HOME:-$root/data}")
catalog=${PENUMBRA_CATALOG:-}
databases=${catalog:+"penumbra mlflow prefect"}
penumbra() { PENUMBRA_HOME=$home "$root/.venv/bin/penumbra" "$@"; }
on_objects() {  # the folder remembers it, or a catalog in PostgreSQL that another machine filled
  [ -f "$home/store/files.uri" ] || { [ -n "$catalog" ] &&
    psql -XAtd "$catalog" -c "SELECT value FROM ducklake_metadata WHERE key = 'data_path'" 2>/dev/null | grep -q '^s3://'; }
}

case $1 in
save)
  [ -d "$home" ] || fail "no state folder $home"
  [ ! -e "$file" ] || fail "$file exists already"
  exec 8>"$home/.run-lock" && flock 8              # a run that writes
  mkdir -p "$home/store" && exec 9>"$home/store/writer.lock" && flock 9   # a single write to the store
  mkdir -p "$home/mlflow" && exec 7>"$home/mlflow/lock" && flock 7        # a registration
  rm -rf "$home/backup" && mkdir "$home/backup"
  trap 'rm -rf "$home/backup" "$file.unfinished"' EXIT
  without=
  if on_objects; then
    penumbra export "$home/backup/store" || fail "the store could not be exported"
    without=--exclude=./store databases=${databases#penumbra }
  fi
  for name in $databases; do
    pg_dump --format=custom --file="$home/backup/$name.dump" --dbname="${catalog%/*}/$name"
  done
  tar --create --file="$file.unfinished" --directory="$home" --exclude=./postgres --exclude=./prefect --exclude=./networks/compiled \
    --exclude=./.run-lock --exclude='*.lock' $without .
  mv "$file.unfinished" "$file"
  ;;
restore)
  [ -f "$file" ] || fail "no file $file"
  [ ! -d "$home/store" ] || fail "$home holds a store already: name another PENUMBRA_HOME, or move it away"
  mkdir -p "$home"
  tar --extract --file="$file" --directory="$home"
  for name in $databases; do
    exported=; [ "$name" != penumbra ] || [ ! -d "$home/backup/store" ] || exported=yes
    [ -n "$exported" ] || [ -f "$home/backup/$name.dump" ] || fail "the back-up was taken without a database server"
    psql -XAtd "${catalog%/*}/postgres" -c "SELECT 1 FROM pg_database WHERE datname = '$name'" | grep -q 1 || psql -Xqd "${catalog%/*}/postgres" -c "CREATE DATABASE $name"
    [ -n "$exported" ] || pg_restore --clean --if-exists --no-owner --dbname="${catalog%/*}/$name" "$home/backup/$name.dump"
  done
  if [ -d "$home/backup/store" ]; then
    penumbra import "$home/backup/store" || fail "all but the store is restored; for the store: PENUMBRA_HOME=$home penumbra import $home/backup/store"
  fi
  rm -rf "$home/backup"
  ;;
*) usage ;;
esac
