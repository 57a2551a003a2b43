"""Keys and secrets lie only where they are needed; only root, and the one account whose program needs it, reads them."""

import pytest

FOLDERS = "/etc/kubernetes /etc/etcd /var/lib/kubelet/pki /etc/kaas"
KEYS = f"find {FOLDERS} -name '*.key' -printf '%m %u:%g %p\\n' 2>/dev/null"
PKI = "/etc/kubernetes/pki"
# All other keys, kubeconfigs and secrets are root's alone.
OWNERS = {
    f"{PKI}/etcd/server.key": "etcd",
    f"{PKI}/etcd/peer.key": "etcd",
    f"{PKI}/apiserver.key": "kube-apiserver",
    f"{PKI}/apiserver-etcd-client.key": "kube-apiserver",
    f"{PKI}/apiserver-kubelet-client.key": "kube-apiserver",
    f"{PKI}/front-proxy-client.key": "kube-apiserver",
    f"{PKI}/sa.key": "kube-apiserver",
    f"{PKI}/controller-manager.key": "kube-controller-manager",
    f"{PKI}/csr-signer.key": "kube-controller-manager",
    f"{PKI}/scheduler.key": "kube-scheduler",
    "/etc/kubernetes/controller-manager.conf": "kube-controller-manager",
    "/etc/kubernetes/scheduler.conf": "kube-scheduler",
    "/etc/kubernetes/encryption.yaml": "kube-apiserver",
}
# "PUBLIC KEY'S HASH PATH" of each private key, and of each authority's certificate, anywhere on the machine
PRIVATE = """
find / /var/lib/kubelet /var/lib/etcd -xdev \\( -name '*.key' -o -name '*.pem' \\) -type f -size -32k ! -path '/usr/*' ! -path '/opt/salt/*' 2>/dev/null |
while read -r file; do
  grep -q 'PRIVATE KEY' "$file" && echo "$(openssl pkey -in "$file" -pubout 2>/dev/null | sha256sum | cut -c-64) $file"
done
true
"""
AUTHORITIES = 'for file in "$1"/*.crt; do openssl x509 -in "$file" -noout -pubkey | sha256sum | cut -c-64; done'


def test_keys_belong_to_one_account(cluster):
    """Every private key on every machine has mode 0600 and belongs to root or to the account of the one program that uses it."""
    asks = cluster.spec.get("balancer", {}).get("plugin") == "haproxy"
    for name in cluster.machines:
        lines = cluster.shell(name, KEYS, check=False).splitlines()
        if name in cluster.alone("loadbalancer"):
            # none, but the one with which it may list Services (tests/render/allowed-secrets.yaml)
            assert [line.split()[2] for line in lines] == ([f"{PKI}/haproxy.key"] if asks else []), name
        else:
            assert lines, f"{name} has no keys"
        assert misplaced(lines) == [], name


def misplaced(lines):
    """Those of the lines "MODE USER:GROUP PATH" whose file others may read, or belongs to another account than it should."""
    wanted = {path: f"600 {account}:{account} {path}" for path, account in OWNERS.items()}
    return [line for line in lines if line != wanted.get(line.split()[2], f"600 root:root {line.split()[2]}")]


def test_kubeconfigs_belong_to_one_account(cluster):
    """Every kubeconfig has mode 0600 and belongs to root or to the program that is its user."""
    for node in cluster.kubelets:
        assert misplaced(cluster.shell(node, "stat -c '%a %U:%G %n' /etc/kubernetes/*.conf").splitlines()) == [], node


PROGRAMS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_run_as_their_account(cluster, program):
    """A process of the control plane has an account without a shell, no capabilities, and reads no key of another one."""
    read = """
    pid=$(systemctl show -p MainPID --value "$1"); shift
    ps -o user:40= -p "$pid"; grep -E '^Cap(Prm|Eff|Bnd)' /proc/$pid/status | cut -f2 | sort -u; getent passwd "$program" | cut -d: -f7
    for file; do nsenter --target "$pid" --mount --setuid "$(stat -c %u /proc/$pid)" --setgid "$(stat -c %g /proc/$pid)" \
      cat "$file" >/dev/null 2>&1 && echo "$file"; done; true
    """
    for node in cluster.etcd if program == "etcd" else cluster.masters:
        here = cluster.shell(node, "find /etc/kubernetes -name '*.key' -o -name encryption.yaml").split()
        user, capabilities, shell, *readable = cluster.shell(node, f"program={program}\n{read}", program, *here).split()
        assert (user, capabilities, shell) == (program, "0" * 16, "/usr/sbin/nologin"), node
        assert set(readable) == {path for path in here if OWNERS.get(path) == program}, node


def test_administrators_are_on_masters_only(cluster):
    """admin.conf and super-admin.conf, and their keys, exist on masters and nowhere else."""
    for node in cluster.nodes:
        for path in ("admin.conf", "super-admin.conf", "pki/admin.key", "pki/super-admin.key"):
            assert cluster.host(node).file(f"/etc/kubernetes/{path}").exists == (node in cluster.masters), (
                f"{node} {path}"
            )


def test_etcd_data_is_private(cluster):
    """The data of etcd holds every secret of the cluster: only etcd and root may enter, and all in it is etcd's."""
    for node in cluster.etcd:
        folder = cluster.host(node).file("/var/lib/etcd")
        assert (folder.mode, folder.user) == (0o700, "etcd"), node
        assert cluster.shell(node, "find /var/lib/etcd ! -user etcd ! -name lost+found").strip() == "", node


@pytest.mark.parametrize("path", ["/etc/kubernetes/encryption.yaml"])
def test_encryption_keys_are_private(cluster, path):
    """The keys of the encryption at rest: masters only, 0600."""
    for node in cluster.nodes:
        file = cluster.host(node).file(path)
        assert file.exists == (node in cluster.masters), node
        if file.exists:
            assert (file.mode, file.user) == (0o600, OWNERS[path]), node


def test_signing_keys_are_on_masters_only(cluster):
    """The service-account key and the signer of certificate requests exist on masters and nowhere else."""
    for node in cluster.nodes:
        found = cluster.shell(node, "find / -xdev -name sa.key -o -xdev -name csr-signer.key 2>/dev/null", check=False)
        assert bool(found.strip()) == (node in cluster.masters), f"{node}: {found}"


def test_keys_of_the_authorities_stay_on_the_ca_minion(cluster):
    """No file on a node holds the private key of an authority, under whatever name; on the CA minion they are private."""
    folder = f"/etc/kaas/pki/{cluster.name}"
    authorities = set(cluster.shell("salt", AUTHORITIES, folder).split())
    assert len(authorities) >= 3
    held = cluster.shell("salt", PRIVATE).splitlines()
    assert authorities <= {line.split()[0] for line in held}, "the search does not find the keys where they are"
    for node, text in cluster.everywhere(lambda node: cluster.shell(node, PRIVATE), cluster.nodes).items():
        assert text, f"the search found no key at all on {node}"
        assert [line for line in text.splitlines() if line.split()[0] in authorities] == [], node


@pytest.mark.parametrize("folder", ["pki", "secrets"])
def test_folders_of_the_ca_and_the_master_are_private(cluster, folder):
    """The authorities' folder and the master's secrets: 0700, files with secrets 0600."""
    path = f"/etc/kaas/{folder}/{cluster.name}"
    host = cluster.host("salt")
    assert (host.file(path).mode, host.file(path).user) == (0o700, "root")
    keys = cluster.shell("salt", f"stat -c '%a %U %n' {path}/*key*").splitlines()
    assert keys
    assert [line for line in keys if not line.startswith("600 root ")] == []


def test_nodes_get_the_secrets_of_their_roles_only(cluster):
    """The pillar of a node that is no master has no secrets."""
    for minion, keys in cluster.salt(cluster.nodes, "pillar.keys", "kaas").items():
        master = minion in {cluster.id(name) for name in cluster.masters}
        assert "node" in keys and ("secrets" in keys) == master, f"{minion}: {keys}"
