#!/bin/bash
# Some 48 forks: pipes, substitutions, subshells, external programs.
total=0
for i in $(seq 1 16); do
  words=$(echo "line $i of many" | tr a-z A-Z | wc -w)
  total=$((total + words))
done
list=$(for i in 1 2 3 4; do (echo "subshell $i"; sleep 0.02); done | sort -r)
grep -c . /etc/services >/dev/null
sed -n 1,40p /etc/services | awk '{ n[$1]++ } END { for (k in n) s += n[k]; print s }' >/dev/null
sleep 0.1 &
wait
echo "$total ${#list}" >/dev/null
