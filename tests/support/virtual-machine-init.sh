#!/bin/busybox sh
# The first process of a virtual machine of the tests: gets an address and metadata and reaches outside as any machine does, says each result on the console, powers off.
# Also what udhcpc calls with a lease (then its first word is the event): address, MTU, and routes by RFC 3442 before RFC 2132.

say() {
  printf '\nmachine %s: %s\n' "$1" "$2"
}

if [ "$$" -ne 1 ]; then
  case $1 in
    bound | renew)
      ip addr flush dev "$interface" scope global
      ip addr add "$ip/$mask" dev "$interface"
      [ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
      if [ -n "$staticroutes" ]; then
        # shellcheck disable=SC2086 # pairs of destination and gateway
        set -- $staticroutes
        while [ $# -ge 2 ]; do
          if [ "$2" = 0.0.0.0 ]; then
            ip route add "$1" dev "$interface"
          else
            ip route add "$1" via "$2" dev "$interface"
          fi
          shift 2
        done
      else
        for gateway in $router; do ip route add default via "$gateway" dev "$interface"; done
      fi
      ;;
  esac
  exit 0
fi

/bin/busybox mkdir -p /bin /proc /sys /dev
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for word in $(cat /proc/cmdline); do
  case $word in
    far4=*) far4=${word#far4=} ;;
    far6=*) far6=${word#far6=} ;;
  esac
done

while read -r module; do insmod "/modules/$module.ko"; done < /modules/order
say kernel "$(uname -r)"
say booted "$(cut -d ' ' -f 1 /proc/uptime)"
ip link set lo up
ip link set eth0 up
say mac "$(cat /sys/class/net/eth0/address)"

udhcpc -i eth0 -s /init -O mtu -O staticroutes -t 30 -T 1 -n -q
say address4 "$(ip -4 -o addr show dev eth0 | awk '{ print $4 }')"
say mtu "$(cat /sys/class/net/eth0/mtu)"
say metadata "$(timeout 60 wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json | tr -d '\n')"
say outside4 "$(ping -c 3 -W 10 "$far4" | grep received)"
address6() {
  ip -6 -o addr show dev eth0 scope global | grep -v tentative | awk '{ print $4 }'
}
# What routers announce comes when it comes; it is looked for as long as a router may take to answer.
looks=0
while [ -z "$(address6)" ] && [ "$looks" -lt 60 ]; do
  looks=$((looks + 1))
  sleep 1
done
say address6 "$(address6)"
say outside6 "$(ping -6 -c 3 -W 10 "$far6" | grep received)"
say done "$(cut -d ' ' -f 1 /proc/uptime)"
poweroff -f
