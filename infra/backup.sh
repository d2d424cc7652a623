#!/usr/bin/env bash
# Back-up and restore of everything that penumbra keeps, one command each:
#
#   infra/backup.sh save FILE.tar        the state folder, and the databases of the PostgreSQL server where the store's catalog is in one
#   infra/backup.sh restore FILE.tar     into an empty or absent state folder (PENUMBRA_HOME), and into empty databases (PENUMBRA_CATALOG)
#
# Where the store's files are on object storage (PENUMBRA_FILES), the back-up holds an export of the store instead of its catalog, and restoring
# imports it to where PENUMBRA_FILES and PENUMBRA_CATALOG say then: the back-up needs none of the objects, and shares none with the first store.
#
# It waits for a run that is writing, and holds later ones up while it copies; penumbra sql continues to work. What can be regenerated (compiled
# programs, the database's own files, the Prefect server's local state) is left out. incoming/ is copied as it is: links stay links.
# A restore overwrites nothing: it refuses a state folder that holds a store and a database that holds tables, before it writes anything.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
usage() { sed -n '2,12p' "$0" >&2; exit 2; }
fail() { echo "backup.sh: $*" >&2; exit 1; }
[ $# = 2 ] || usage
file=$(realpath -m "$2")
home=$(realpath -m "${PENUMBRA_HOME:-$root/data}")
catalog=${PENUMBRA_CATALOG:-}
dumps=(catalog mlflow prefect)  # in this order; MLflow and Prefect have databases of their own names next to the catalog's

# the address of a dump's database; the catalog's may have any name
address() { case $1 in catalog) echo "$catalog" ;; *) echo "${catalog%/*}/$1" ;; esac; }
ask() { psql -XAtq -v ON_ERROR_STOP=1 "$@"; }
present() { [ "$(ask -d "${catalog%/*}/postgres" -v name="${1##*/}" <<<"SELECT count(*) FROM pg_database WHERE datname = :'name'")" = 1 ]; }
penumbra() { PENUMBRA_HOME=$home "$root/.venv/bin/penumbra" "$@"; }
on_objects() {  # the folder remembers it, or a catalog in PostgreSQL that another machine filled
  [ -f "$home/store/files.uri" ] || { [ -n "$catalog" ] &&
    psql -XAtd "$catalog" -c "SELECT value FROM ducklake_metadata WHERE key = 'data_path'" 2>/dev/null | grep -q '^s3://'; }
}
reach() { ask -d "${catalog%/*}/postgres" -c "SELECT 1" >/dev/null || fail "no database server at ${catalog%/*}"; }

case $1 in
save)
  [ -d "$home" ] || fail "no state folder $home"
  [ ! -e "$file" ] || fail "$file exists already"
  [ -n "$catalog" ] || [ ! -s "$home/store/catalog.uri" ] || catalog=$(<"$home/store/catalog.uri")  # a store knows where its catalog is
  [ -z "$catalog" ] || reach
  exec 8>"$home/.run-lock" && flock 8              # a run that writes
  mkdir -p "$home/store" && exec 9>"$home/store/writer.lock" && flock 9   # a single write to the store
  mkdir -p "$home/mlflow" && exec 7>"$home/mlflow/lock" && flock 7        # a registration
  umask 077  # patients' data
  rm -rf "$home/backup" && mkdir "$home/backup"
  trap 'rm -rf "$home/backup" "$file.unfinished"' EXIT
  without=
  if on_objects; then
    penumbra export "$home/backup/store" || fail "the store could not be exported"
    without=--exclude=./store dumps=(mlflow prefect)
  fi
  for name in ${catalog:+"${dumps[@]}"}; do
    present "$(address "$name")" && pg_dump --format=custom --file="$home/backup/$name.dump" --dbname="$(address "$name")" || [ "$name" != catalog ] ||
      fail "the catalog $catalog could not be saved"
  done
  tar --create --file="$file.unfinished" --directory="$home" --exclude=./postgres --exclude=./prefect --exclude=./networks/compiled \
    --exclude=./.run-lock --exclude='*.lock' $without .
  mv "$file.unfinished" "$file"
  ;;
restore)
  [ -f "$file" ] || fail "no file $file"
  [ ! -d "$home/store" ] || fail "$home holds a store already: name another PENUMBRA_HOME, or move it away"
  mkdir -p "$home"
  fresh=$home/.restoring
  rm -rf "$fresh" && mkdir --mode=700 "$fresh"
  trap 'rm -rf "$fresh"; rmdir "$home" 2>/dev/null || true' EXIT  # a refusal leaves nothing
  tar --extract --file="$file" --directory="$fresh"
  saved=() exported=
  [ ! -d "$fresh/backup/store" ] || exported=yes
  for name in "${dumps[@]}"; do [ ! -f "$fresh/backup/$name.dump" ] || saved+=("$name"); done
  [ ${#saved[@]} = 0 ] || [ -n "$catalog" ] || fail "the back-up holds databases: name an empty one in PENUMBRA_CATALOG, such as infra/postgres.sh start prints"
  [ ${#saved[@]} != 0 ] || [ -n "$exported" ] || [ -z "$catalog" ] || fail "the back-up was taken of a store without a database server: unset PENUMBRA_CATALOG"
  filled=("${saved[@]}")
  if [ -n "$catalog" ]; then
    reach
    [ -z "$exported" ] || filled=(catalog "${saved[@]}")  # by the import
    for name in "${filled[@]}"; do
      to=$(address "$name")
      ! present "$to" || [ "$(ask -d "$to" -c "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")" = 0 ] ||
        fail "the database $to holds tables already: restore into an empty server (stop the stack; infra/postgres.sh start another folder), or drop it first"
    done
    for name in "${filled[@]}"; do
      to=$(address "$name")
      present "$to" || ask -d "${catalog%/*}/postgres" -c "CREATE DATABASE \"${to##*/}\""
    done
    for name in "${saved[@]}"; do pg_restore --no-owner --single-transaction --dbname="$(address "$name")" "$fresh/backup/$name.dump"; done
    [ ! -d "$fresh/store" ] || sed -E 's#(://[^:@/]*):[^@/]*@#\1@#' <<<"$catalog" >"$fresh/store/catalog.uri"  # never with a password
    if [ -f "$fresh/backup/mlflow.dump" ]; then  # MLflow keeps artifacts under absolute addresses
      ask -d "$(address mlflow)" -c "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE '%/mlflow/artifacts'" | while read -r before; do
        sed "s/:before/:'before'/g; s/:now/:'now'/g" "$root/src/penumbra/registry/relocate.sql" |
          ask -d "$(address mlflow)" --single-transaction -v before="$before" -v now="file://$home/mlflow/artifacts"
      done
    fi
  fi
  rm -f "$fresh"/backup/*.dump
  find "$fresh" -mindepth 1 -maxdepth 1 ! -name store -exec mv --target-directory="$home" {} +
  [ ! -d "$fresh/store" ] || mv "$fresh/store" "$home"  # last: a restore that was killed is not taken for a store
  if [ -n "$exported" ]; then
    penumbra import "$home/backup/store" || fail "all but the store is restored; for the store: PENUMBRA_HOME=$home penumbra import $home/backup/store"
  fi
  rm -rf "$home/backup"
  ;;
*) usage ;;
esac
