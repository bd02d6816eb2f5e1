#!/bin/sh
# First process of the lab's PID, mount and network namespaces (pid_namespaces(7)): makes them private, runs the supervisor,
# reaps what is orphaned, and takes everything with it when it ends. Usage: init.sh COMMAND…
set -eu

# Whatever the lab keeps under /run (namespace handles, machines' files) lives and dies with it.
names=$(readlink -f /etc/resolv.conf || true)
mount -t tmpfs -o mode=755 selvage-lab /run
mkdir -p /run/netns /run/machines
case $names in
  /run/*)
    mkdir -p "${names%/*}"
    : > "$names"
    ;;
esac
umount -l /sys
mount -t sysfs sysfs /sys
ip link set lo up

"$@" &
supervisor=$!
trap 'kill -TERM "$supervisor" 2> /dev/null || true' TERM INT HUP

# A trapped signal ends `wait` early: go on until the supervisor itself is gone. The shell's wait reaps every orphan on the way.
code=0
while :; do
  wait "$supervisor" && code=0 || code=$?
  kill -0 "$supervisor" 2> /dev/null || break
done
exit "$code"
