#!/bin/sh
# Starts PostgreSQL on its volume: makes the database once, and gives the roles the passwords of their secrets
# at each start, so that a rotated secret is a restart and nothing more.
set -eu
data=/var/lib/postgresql/data/15
secret=/run/secrets/database_password
watcher=/run/secrets/watcher_password

if [ ! -s "$data/PG_VERSION" ]; then
  # A start that was cut off leaves no PG_VERSION, or one in the folder that is not yet renamed.
  rm -rf "$data.new"
  initdb --pgdata="$data.new" --username=coordinator --pwfile="$secret" \
    --auth-host=scram-sha-256 --auth-local=reject --encoding=UTF8 --locale=C.UTF-8 --data-checksums
  echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
  echo "CREATE DATABASE coordinator;" | postgres --single -D "$data.new" template1 >/dev/null
  mv "$data.new" "$data"
fi

# Generated passwords are letters and digits: nothing to quote.
{
  echo "ALTER ROLE coordinator PASSWORD '$(cat "$secret")';"
  if [ -e "$watcher" ]; then
    # It may measure everything, and read none of the coordinator's tables.
    echo "DO \$\$ BEGIN CREATE ROLE watcher LOGIN IN ROLE pg_monitor; EXCEPTION WHEN duplicate_object THEN END \$\$;"
    echo "ALTER ROLE watcher PASSWORD '$(cat "$watcher")';"
  fi
} | postgres --single -D "$data" template1 >/dev/null

exec postgres -D "$data" \
  -c listen_addresses='*' -c unix_socket_directories='' \
  -c max_connections=200 -c shared_buffers="$1" -c password_encryption=scram-sha-256 \
  -c log_destination=stderr -c logging_collector=off
