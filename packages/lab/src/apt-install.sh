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
routing_is_new=no
case " $fresh " in *" frr "*) routing_is_new=yes ;; esac

disable() {
  [ ! -e "/lib/systemd/system/$2.service" ] || DPKG_MAINTSCRIPT_PACKAGE="$1" deb-systemd-helper disable "$2.service" > /dev/null
  [ ! -e "/etc/init.d/$2" ] || update-rc.d "$2" disable
}

# The packages' own scripts enable their units for the next boot; only what this run brought is turned off again.
turn_off() {
  if [ "$switch_is_new" = yes ]; then
    disable openvswitch-switch openvswitch-switch
    disable openvswitch-switch ovs-record-hostname
  fi
  if [ "$routing_is_new" = yes ]; then disable frr frr; fi
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
