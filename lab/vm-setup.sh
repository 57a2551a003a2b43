#!/bin/sh
# Brings a plain Debian 12 machine (libvirt, VirtualBox) to where the docker provider's node image starts: packages, Salt in /opt/salt, units.
#
#   vm-setup.sh REQUIREMENT...      # Salt and what goes with it, as pip requirements
#
# Expects lab/image at /tmp/kaas-image.
set -eu
export DEBIAN_FRONTEND=noninteractive
from=/tmp/kaas-image
install -m 755 "$from/files/usr/sbin/policy-rc.d" /usr/sbin/policy-rc.d
apt-get update -qq
grep -vE '^[[:space:]]*(#|$)' "$from/packages" | xargs apt-get install -y -qq --no-install-recommends gcc python3-dev
if [ ! -x /opt/salt/bin/salt-minion ]; then
  python3 -m venv --system-site-packages /opt/salt
  /opt/salt/bin/pip install --quiet --ignore-installed "$@"
fi
for tool in salt salt-call salt-cp salt-key salt-master salt-minion salt-run; do ln -sf "/opt/salt/bin/$tool" "/usr/local/bin/$tool"; done
install -m 644 -t /etc/systemd/system "$from/files/etc/systemd/system/salt-minion.service" "$from/files/etc/systemd/system/salt-master.service"
systemctl daemon-reload
for unit in haproxy keepalived nginx nftables; do systemctl disable --quiet "$unit" || true; done
