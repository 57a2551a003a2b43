"""How far systemd confines each unit: the figures of docs/hardening.md, as bounds."""

import pytest

# Bounds of `systemd-analyze security`, in tenths: 0 is confined, 100 is not at all.
BOUNDS = {
    "etcd": 15,
    "kube-apiserver": 15,
    "kube-controller-manager": 15,
    "kube-scheduler": 15,
    "kube-proxy": 30,
    "flanneld": 30,
    "haproxy": 30,
    "keepalived": 30,
}


@pytest.mark.parametrize("unit", BOUNDS)
def test_exposure(cluster, unit):
    """A unit that runs is confined at least that far; where the unit is not told from one without a sandbox, the test is worth nothing."""
    seen = []
    for node in cluster.nodes:
        if cluster.host(node).service(unit).is_running:
            seen.append(node)
            analyze = ["systemd-analyze", "security", f"--threshold={BOUNDS[unit]}", f"{unit}.service"]
            done = cluster.exec(node, *analyze, check=False)
            assert done.returncode == 0, f"{node}: {done.stdout.splitlines()[-1]}"
    assert seen or unit in ("haproxy", "keepalived"), "it runs nowhere"
    bare = ["systemd-analyze", "security", f"--threshold={BOUNDS[unit]}", "containerd.service"]
    assert cluster.exec(cluster.kubelets[0], *bare, check=False).returncode != 0
