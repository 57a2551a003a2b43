"""
No secret lies where it does not belong: each machine is searched for the values of all secrets of the cluster.

The values are collected on the machines, go through this process to every machine's memory file system, and are never printed: a finding
is a place and a path.
"""

import base64
import secrets

import pytest
from laboratory import SCRATCH

NEEDLES = f"{SCRATCH}/needles"
# Lines that only somebody who has the secret can know; whole values of what is no PEM file. Of an EC key's three lines the second holds
# private bytes, the third only the public key; of an RSA key the first ones are the public modulus.
COLLECT = r"""
shopt -s nullglob globstar
for file in /etc/kubernetes/**/*.key /var/lib/kubelet/pki/*.key /etc/salt/pki/*/*.pem /etc/kaas/pki/"$1"/*.key \
            /etc/kaas/secrets/"$1"/*.key /etc/kaas/secrets/"$1"/encryption-key*; do
  if grep -q 'PRIVATE KEY' "$file"; then
    grep -v -e '-----' "$file" | awk '{ line[NR] = $0 } END { if (NR < 6) print line[2]; else for (i = 10; i < NR; i++) print line[i] }'
  else
    grep -E '^.{20,}' "$file"
  fi
done
# the demo's database password, as the pods that need it have it (on tmpfs)
for file in /var/lib/kubelet/pods/*/volumes/kubernetes.io~secret/secret/password; do awk 1 "$file" | grep -E '^.{20,}'; done
cat /var/lib/kubelet/pods/*/volumes/kubernetes.io~projected/*/token 2>/dev/null | tr '\n' ' ' | grep -oE '[^ ]{100,}'
true
"""
# "PLACE PATH" for each file that holds one of the lines in $1.
SEARCH = r"""
n=$1
found() { sed "s|^|$1 |"; }
grep -rlFaf "$n" /var/log 2>/dev/null | found log
journalctl --no-pager --output=cat --all 2>/dev/null | grep -qFaf "$n" && echo journal
grep -rlFaf "$n" /var/cache/salt 2>/dev/null | found salt-cache
for process in /proc/[0-9]*; do
  [ "$process" = "/proc/$$" ] && continue
  grep -qFaf "$n" "$process/cmdline" 2>/dev/null && echo "arguments $(tr '\0' ' ' < "$process/comm" 2>/dev/null)"
  grep -qFaf "$n" "$process/environ" 2>/dev/null && echo "environment $(cat "$process/comm" 2>/dev/null)"
done
grep -rlFaf "$n" /etc/systemd /run/systemd/system /run/systemd/transient /usr/lib/systemd /lib/systemd 2>/dev/null | found unit
find / -xdev \( -path /proc -o -path /sys -o -path /opt/salt \) -prune -o -type f \( -perm /004 -o -perm /040 \) -size -8M -print0 2>/dev/null |
  xargs -0 -r grep -lFaf "$n" 2>/dev/null | found readable
for folder in /srv/artifacts /srv/kaas/salt; do [ -d "$folder" ] && grep -rlFaf "$n" "$folder" | found served; done
[ -d /var/lib/etcd ] && grep -rlFaf "$n" /var/lib/etcd 2>/dev/null | found etcd
true
"""


# Where Salt itself keeps a copy, on machines that have the secret anyway: files of mode 0600.
KNOWN = (
    "/var/cache/salt/minion/highstate.cache.p",  # a node's own low state
    "/var/cache/salt/master/pillar/",  # the master's, which has the secrets in /etc/kaas/secrets
)


def known(cluster, machine, place):
    """Whether a finding is one of Salt's own copies, and private."""
    _, _, path = place.partition(" ")
    return path.startswith(KNOWN) and cluster.shell(machine, 'stat -c "%a %U" "$1"', path).strip() == "600 root"


def search(cluster, needles):
    """``{machine: set of places}`` where one of these lines is found."""

    def one(machine):
        cluster.exec(machine, "mkdir", "--parents", "--mode=0700", SCRATCH)
        cluster.exec(machine, "dd", "status=none", f"of={NEEDLES}", stdin="\n".join(needles) + "\n")
        cluster.exec(machine, "chmod", "0600", NEEDLES)
        try:
            return set(cluster.shell(machine, SEARCH, NEEDLES, timeout=300).splitlines())
        finally:
            cluster.exec(machine, "rm", "--force", NEEDLES)

    return {machine: one(machine) for machine in cluster.machines}


@pytest.fixture(scope="module")
def needles(cluster):
    """Lines of all secrets on all machines."""
    found = {machine: cluster.shell(machine, COLLECT, cluster.name).splitlines() for machine in cluster.machines}
    few = [machine for machine, lines in found.items() if len(lines) < 3]
    assert few == [], "hardly a secret was found there: the collection is wrong"
    return sorted({line for lines in found.values() for line in lines})


PLANT = r"""
umask 077; mkdir -p /run/kaas-test
echo "text $1 text" > /var/log/kaas-planted; mkdir -p /var/cache/salt/kaas-planted; echo "$1" > /var/cache/salt/kaas-planted/x
echo "$1" | systemd-cat --identifier=kaas-planted
printf '[Unit]\nDescription=%s\n' "$1" > /run/systemd/system/kaas-planted.service
echo "$1" > /etc/kaas-planted; chmod 0640 /etc/kaas-planted
systemd-run --quiet --unit=kaas-arguments bash -c 'sleep 300; :' "$1"
systemd-run --quiet --unit=kaas-environment --setenv=PLANTED="$1" sleep 300
journalctl --sync
"""
REMOVE = """
systemctl stop kaas-arguments kaas-environment 2>/dev/null
systemctl reset-failed kaas-arguments kaas-environment 2>/dev/null
rm -rf /var/log/kaas-planted /var/cache/salt/kaas-planted /run/systemd/system/kaas-planted.service /etc/kaas-planted
true
"""


def test_the_search_finds_a_planted_secret_everywhere(cluster):
    """What the next test does not find is not there."""
    needle = "planted-" + secrets.token_hex(16)
    machine = cluster.etcd[0]
    try:
        cluster.shell(machine, REMOVE)
        cluster.shell(machine, PLANT, needle)
        cluster.create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "planted", "namespace": "default"}, "data": {"a": needle}}
        )
        found = search(cluster, [needle])
    finally:
        cluster.shell(machine, REMOVE)
        cluster.kubectl("delete", "configmap", "planted", check=False)
    places = {line.split()[0] for line in found[machine]}
    assert places == {"log", "journal", "salt-cache", "arguments", "environment", "unit", "readable", "etcd"}
    others = {name: lines for name, lines in found.items() if name != machine}
    # the members of etcd hold the ConfigMap, and the audit log names no contents
    assert {name: lines for name, lines in others.items() if {line.split()[0] for line in lines} - {"etcd"}} == {}


def test_no_secret_lies_where_it_does_not_belong(cluster, needles):
    """Not in logs, Salt's caches (job cache, state returns), arguments, environments, units, readable or served files, or etcd."""
    found = search(cluster, needles)
    wrong = {machine: [place for place in sorted(places) if not known(cluster, machine, place)] for machine, places in found.items()}
    assert {machine: places for machine, places in wrong.items() if places} == {}


def test_secrets_of_applications_are_sealed_on_disk(cluster):
    """The value of a Secret stands in no file of etcd, that of a ConfigMap does (the search reads what etcd writes)."""
    sealed, plain = ("sealed-" + secrets.token_hex(16) for _ in range(2))
    metadata = {"name": "sealed", "namespace": "default"}
    try:
        cluster.create(
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"a": sealed}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": plain}},
        )
        coded = base64.b64encode(sealed.encode()).decode()
        assert {name: places for name, places in search(cluster, [sealed, coded]).items() if places} == {}
        found = search(cluster, [plain])
        assert all(any(line.startswith("etcd ") for line in found[member]) for member in cluster.etcd)
    finally:
        cluster.kubectl("delete", "secret,configmap", "sealed", check=False)
