#!/bin/sh
# What a lab machine's DHCP client (udhcpc, BusyBox) does with a lease: address, MTU, routes (RFC 3442 before RFC 2132) and names.
# Runs inside the machine's own network and mount namespaces; tells the lab with one line on standard output.
set -eu

say() {
  printf 'selvage-dhcp %s %s\n' "$1" "${ip:-none}"
}

forget() {
  ip -4 addr flush dev "$interface"
}

# The file is the lab machine's own, seen by it as /etc/resolv.conf; that path itself is never written. Each client has its part of it.
name_servers() {
  [ -n "${SELVAGE_RESOLV_CONF:-}" ] || return 0
  {
    [ -z "${search:-${domain:-}}" ] || printf 'search %s\n' "${search:-$domain}"
    for server in ${dns:-}; do printf 'nameserver %s\n' "$server"; done
  } > "$SELVAGE_RESOLV_CONF.4"
  cat "$SELVAGE_RESOLV_CONF.4" "$SELVAGE_RESOLV_CONF.6" 2> /dev/null > "$SELVAGE_RESOLV_CONF" || true
}

routes() {
  if [ -n "${staticroutes:-}" ]; then
    # shellcheck disable=SC2086 # pairs of destination and gateway
    set -- $staticroutes
    while [ $# -ge 2 ]; do
      if [ "$2" = 0.0.0.0 ]; then
        ip route replace "$1" dev "$interface" scope link
      else
        ip route replace "$1" via "$2" dev "$interface" onlink
      fi
      shift 2
    done
  else
    for gateway in ${router:-}; do
      ip route replace default via "$gateway" dev "$interface" onlink
      break
    done
  fi
}

case "$1" in
  deconfig)
    forget
    ip link set "$interface" up
    say deconfig
    ;;
  bound | renew)
    held=$(ip -4 -o addr show dev "$interface" | awk '{ print $4 }')
    if [ "$held" != "$ip/$mask" ]; then
      forget
      ip addr add "$ip/$mask" dev "$interface"
    fi
    [ -z "${mtu:-}" ] || ip link set "$interface" mtu "$mtu"
    routes
    name_servers
    say "$1"
    ;;
  leasefail | nak)
    say "$1"
    ;;
esac
