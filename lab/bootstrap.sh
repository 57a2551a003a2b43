#!/bin/sh
# Vagrant's Salt provisioner uploads and runs this in the place of the public bootstrap script: Salt is in the machine already (node image,
# or lab/vm-setup.sh), so there is nothing to download. Puts configuration and keys in place and starts the services.
#
#   bootstrap.sh -i ID -A MASTER [-g FINGERPRINT] [-a ADDRESS -6 ADDRESS/PREFIX] [-c FOLDER] [-k FOLDER] [-M] [-N] [-F] [-C]
#
# -i, -A, -g   minion id, master's address, fingerprint of the master's public key
# -a, -6       the machine's address, and the IPv6 address that the interface with it gets besides, at each boot
# -c           folder with minion, master (configuration), minion.pem/.pub, master.pem/.pub
# -k           folder with public keys to accept, named by minion id (with -M)
# -M, -N       this machine is the master as well; no minion here
# -F, -C       accepted for the provisioner's sake: everything is always put in place anew
set -eu

config=/tmp id='' address='' finger='' own='' own6='' seeds='' master=0 minion=1
while [ $# -gt 0 ]; do
  case $1 in
    -i) id=$2; shift ;;
    -A) address=$2; shift ;;
    -g) finger=$2; shift ;;
    -a) own=$2; shift ;;
    -6) own6=$2; shift ;;
    -c) config=$2; shift ;;
    -k) seeds=$2; shift ;;
    -M) master=1 ;;
    -N) minion=0 ;;
    -F | -C) ;;
    *) echo "bootstrap.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done

# key_pair FOLDER NAME: install config/NAME.{pem,pub} there
key_pair() {
  if [ -f "$config/$2.pem" ]; then
    install -m 400 "$config/$2.pem" "$1/$2.pem"
    install -m 644 "$config/$2.pub" "$1/$2.pub"
    rm -f "$config/$2.pem" "$config/$2.pub"
  fi
}

address6=/usr/local/sbin/lab-address6 unit=/etc/systemd/system/lab-address6.service
if [ -n "$own6" ]; then
  # Without duplicate address detection (nodad): until it ends, nobody can bind to the address.
  cat > "$address6" << SCRIPT
#!/bin/sh
set -eu
until link=\$(ip -o -4 address show to $own | awk '{print \$2}') && [ -n "\$link" ]; do sleep 0.2; done
sysctl -q -w net.ipv6.conf.lo.disable_ipv6=0 "net.ipv6.conf.\$link.disable_ipv6=0"
ip address replace $own6 dev "\$link" nodad
# leads nowhere, as there is no router; but without any, the kernel refuses services' addresses before kube-proxy sees them
ip -6 route replace default dev "\$link"
SCRIPT
  chmod 755 "$address6"
  cat > "$unit" << UNIT
[Unit]
Description=Lab: IPv6 address $own6 beside $own
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=60
ExecStart=$address6
[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  systemctl enable --quiet lab-address6
  systemctl restart lab-address6
elif [ -e "$unit" ]; then
  systemctl disable --quiet lab-address6
  rm "$unit" "$address6"
fi

if [ "$master" = 1 ]; then
  pki=/etc/salt/pki/master
  install -d -m 700 "$pki" "$pki/minions"
  install -D -m 644 "$config/master" /etc/salt/master
  key_pair "$pki" master
  if [ -n "$seeds" ]; then
    for key in "$seeds"/*; do install -m 644 "$key" "$pki/minions/${key##*/}"; done
    rm -rf "$seeds"
  fi
  install -d -m 700 /etc/kaas/secrets
  # the machine's other jobs: artifact repository and image registry
  install -m 644 -t /etc/systemd/system /srv/kaas/lab/salt/kaas-repository.service /srv/kaas/lab/salt/kaas-registry.service
  systemctl daemon-reload
  systemctl enable --quiet salt-master kaas-repository kaas-registry
  systemctl restart --no-block salt-master kaas-repository kaas-registry
fi

if [ "$minion" = 1 ]; then
  pki=/etc/salt/pki/minion
  install -d -m 700 "$pki"
  install -d /etc/salt/minion.d
  install -m 644 "$config/minion" /etc/salt/minion
  key_pair "$pki" minion
  {
    echo "# written by lab/bootstrap.sh"
    echo "id: $id"
    echo "master: $address"
    if [ -n "$finger" ]; then echo "master_finger: '$finger'"; fi
  } > /etc/salt/minion.d/lab.conf
  # A minion that starts before its master loses its first request and waits for the whole time-out: wait for the port first
  install -d /etc/systemd/system/salt-minion.service.d
  cat > /etc/systemd/system/salt-minion.service.d/lab.conf << UNIT
[Service]
ExecStartPre=-/usr/bin/timeout 60 /bin/bash -c 'until exec 3<>/dev/tcp/$address/4506; do sleep 0.2; done 2>/dev/null'
UNIT
  systemctl daemon-reload
  systemctl enable --quiet salt-minion
  systemctl restart --no-block salt-minion
fi
