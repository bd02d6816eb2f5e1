#!/bin/sh
# What a lab machine's DHCPv6 client (dhclient -6, isc-dhcp-client) does with what it is told: address and names (RFC 8415, RFC 3646).
# Runs inside the machine's own network and mount namespaces; tells the lab with one line on standard output.
set -eu

say() {
  printf 'selvage-dhcp6 %s %s\n' "$1" "${2:-none}"
}

# Each client has its own part of the file, which is the lab machine's own, seen by it as /etc/resolv.conf.
name_servers() {
  [ -n "${SELVAGE_RESOLV_CONF:-}" ] || return 0
  {
    [ -z "${new_dhcp6_domain_search:-}" ] || printf 'search %s\n' "$new_dhcp6_domain_search"
    for server in ${new_dhcp6_name_servers:-}; do
      # An address of the link is nobody's without its interface (RFC 4007).
      case "$server" in fe80:*) server="$server%$interface" ;; esac
      printf 'nameserver %s\n' "$server"
    done
  } > "$SELVAGE_RESOLV_CONF.6"
  cat "$SELVAGE_RESOLV_CONF.4" "$SELVAGE_RESOLV_CONF.6" 2> /dev/null > "$SELVAGE_RESOLV_CONF" || true
}

# The length is the subnet's, so that neighbours are reached where no router advertises the prefix.
hold() {
  ip -6 addr replace "$new_ip6_address/$new_ip6_prefixlen" dev "$interface" nodad \
    valid_lft "${new_max_life:-forever}" preferred_lft "${new_preferred_life:-forever}"
}

forget() {
  ip -6 addr del "$old_ip6_address/$old_ip6_prefixlen" dev "$interface" 2> /dev/null || true
}

case "$reason" in
  PREINIT6)
    ip link set "$interface" up
    ;;
  BOUND6 | RENEW6 | REBIND6)
    if [ -n "${old_ip6_address:-}" ] && [ "${old_ip6_address:-}" != "${new_ip6_address:-}" ]; then forget; fi
    [ -z "${new_ip6_address:-}" ] || hold
    name_servers
    say bound "${new_ip6_address:-}"
    ;;
  EXPIRE6 | FAIL6 | STOP6 | RELEASE6)
    [ -z "${old_ip6_address:-}" ] || forget
    say deconfig
    ;;
esac
