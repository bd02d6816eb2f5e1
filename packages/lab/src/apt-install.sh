#!/bin/sh
# Installs Debian packages so that no service of theirs starts or is enabled (policy-rc.d(8), invoke-rc.d(8)); what was there stays as it was.
# Usage: apt-install.sh PACKAGE…
set -eu

policy=/usr/sbin/policy-rc.d
mark='# selvage: for the time of one installation'
kept=$policy.before-selvage

# An installation that was killed may have left its policy behind.
put_back() {
  if [ -f "$policy" ] && grep -qF "$mark" "$policy"; then rm -f "$policy"; fi
  if [ -e "$kept" ]; then mv "$kept" "$policy"; fi
}

present() {
  [ "$(dpkg-query -W -f '${Status}' "$1" 2> /dev/null || true)" = 'install ok installed' ]
}

put_back

fresh=''
for package in "$@"; do
  present "$package" || fresh="$fresh $package"
done
[ -n "$fresh" ] || exit 0

switch_is_new=no
present openvswitch-switch || switch_is_new=yes

# The packages' own scripts enable their units for the next boot; only a switch that this run brought is turned off again.
turn_off() {
  [ "$switch_is_new" = yes ] || return 0
  for unit in openvswitch-switch.service ovs-record-hostname.service; do
    [ ! -e "/lib/systemd/system/$unit" ] || DPKG_MAINTSCRIPT_PACKAGE=openvswitch-switch deb-systemd-helper disable "$unit" > /dev/null
  done
  [ ! -e /etc/init.d/openvswitch-switch ] || update-rc.d openvswitch-switch disable
}

finish() {
  turn_off || true
  put_back
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ -e "$policy" ]; then mv "$policy" "$kept"; fi
cat > "$policy" << POLICY
#!/bin/sh
$mark
exit 101
POLICY
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
lock='-o DPkg::Lock::Timeout=300'
# shellcheck disable=SC2086 # one option a word
apt-get $lock -q update
# shellcheck disable=SC2086
apt-get $lock -q -y --no-install-recommends -o Dpkg::Options::=--force-confold install $fresh
