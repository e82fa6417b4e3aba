#!/bin/sh
# redis-server that saves in the background while it is written to. $1: an empty folder.
redis-server --port 0 --unixsocket "$1/socket" --dir "$1" --save '' --logfile "$1/log" --loglevel warning &
until redis-cli -s "$1/socket" ping >/dev/null 2>&1; do sleep 0.02; done
redis-cli -s "$1/socket" debug populate 20000 key 64 >/dev/null
for round in 1 2; do
  redis-cli -s "$1/socket" bgsave >/dev/null
  redis-benchmark -s "$1/socket" -q -n 3000 -c 4 -r 20000 -t set >/dev/null 2>&1
  sleep 0.1
done
redis-cli -s "$1/socket" shutdown nosave
wait
