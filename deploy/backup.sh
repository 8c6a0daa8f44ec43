#!/usr/bin/env bash
# The database into a file, and back: while it runs, SQLite and PostgreSQL alike.
#
#   deploy/backup.sh backup FOLDER     writes FOLDER/triforce-<UTC time>.sqlite3 or .dump, checks it, and prints its name;
#                                      KEEP_DAYS=30 also deletes the older ones there
#   deploy/backup.sh restore FILE      puts it back; stop TriForce first
#
# Asks the product's settings where the database is. SECRET_KEY is not in the backup: keep it elsewhere.
set -euo pipefail
umask 077
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3

fail() { echo "backup.sh: $*" >&2; exit 1; }

case "${1:-} ${2:-}" in
    "backup "?* | "restore "?*) ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 2 ;;
esac

DATABASE_URL=$(cd "$root" && "$python" - <<'PY'
import sys
from django.core.exceptions import ImproperlyConfigured
try:
    from triforce.settings import DATABASE_URL
except ImproperlyConfigured as error:
    sys.exit(f"backup.sh: {error}")
print(DATABASE_URL)
PY
)
export DATABASE_URL

# The URL's parts as libpq's own variables: on the command line everybody on the machine could read the password.
connect() {
    eval "$("$python" - <<'PY'
import os, shlex
from urllib.parse import parse_qs, unquote, urlsplit
url = urlsplit(os.environ["DATABASE_URL"])
query = {name: values[-1] for name, values in parse_qs(url.query).items()}
parts = {"PGHOST": query.get("host") or url.hostname, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password,
         "PGDATABASE": url.path[1:], "PGSSLMODE": query.get("sslmode")}
for name, value in parts.items():
    if value:
        print(f"export {name}={shlex.quote(unquote(str(value)))}")
PY
)"
}

sqlite_copy() {  # FROM TO: a whole copy, also while others write, then its check
    "$python" - "$1" "$2" <<'PY'
import sqlite3, sys
source, target = (sqlite3.connect(path, timeout=60) for path in sys.argv[1:])
with source, target:
    source.backup(target)
target.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
found = target.execute("PRAGMA integrity_check").fetchone()[0]
sys.exit(0 if found == "ok" else f"backup.sh: {sys.argv[2]} is damaged: {found}")
PY
}

backup() {
    local folder=$1 name
    mkdir -p "$folder"
    name=$folder/triforce-$(date -u +%Y%m%dT%H%M%SZ)
    case $DATABASE_URL in
        sqlite:///*)
            name+=.sqlite3
            [ -f "${DATABASE_URL#sqlite:///}" ] || fail "there is no database at ${DATABASE_URL#sqlite:///}"
            sqlite_copy "${DATABASE_URL#sqlite:///}" "$name.partial" ;;
        postgres*)
            name+=.dump
            connect
            pg_dump --format=custom --file="$name.partial"
            pg_restore --list "$name.partial" >/dev/null ;;
        *) fail "DATABASE_URL must start with sqlite:/// or postgresql://" ;;
    esac
    mv "$name.partial" "$name"
    if [ -n "${KEEP_DAYS:-}" ]; then
        find "$folder" -maxdepth 1 -name 'triforce-*Z.*' -mtime "+$KEEP_DAYS" -delete
    fi
    echo "$name"
}

restore() {
    local file=$1
    [ -f "$file" ] || fail "there is no file $file"
    case $DATABASE_URL in
        sqlite:///*)
            local target=${DATABASE_URL#sqlite:///}
            sqlite_copy "$file" "$target.restored"
            rm -f "$target-wal" "$target-shm"
            mv "$target.restored" "$target" ;;
        postgres*)
            connect
            pg_restore --clean --if-exists --no-owner --single-transaction --exit-on-error --dbname="$PGDATABASE" "$file" ;;
        *) fail "DATABASE_URL must start with sqlite:/// or postgresql://" ;;
    esac
}

"$1" "$2"
