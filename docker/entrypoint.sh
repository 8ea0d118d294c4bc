#!/bin/sh
# Starts `sweep` with the database's password from the file that PGPASSWORD_FILE names: no command line shows it.
set -eu
if [ -n "${PGPASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat "$PGPASSWORD_FILE")
    export PGPASSWORD
    unset PGPASSWORD_FILE
fi
exec sweep "$@"
