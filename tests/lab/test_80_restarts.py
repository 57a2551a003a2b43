"""When a change needs restarts on all masters, they happen one at a time and the API keeps answering."""

import itertools

import pytest
from polling import Loop

HIGHLY_AVAILABLE = True
BOUND = 10  # seconds: an election of etcd takes up to 5, a lock passes on, a call times out after 3

# microseconds of the monotonic clock, which is one for all machines of the docker provider: when the unit was last down
TIMES = "systemctl show {} -p ActiveExitTimestampMonotonic -p ActiveEnterTimestampMonotonic --value"


@pytest.mark.parametrize("unit", ["etcd", "kube-apiserver"])
def test_one_at_a_time(cluster, unit):
    """A newer unit file on all masters: every one is restarted, no two are down at once, writes go on within the bound."""
    nodes = cluster.etcd if unit == "etcd" else cluster.masters
    for node in nodes:
        cluster.exec(node, "touch", f"/etc/systemd/system/{unit}.service")
    api = cluster.api()
    count = iter(range(10**9))
    with Loop(lambda: api.write("kaas-test-restarts", next(count)), every=0.2) as writes:
        found = cluster.highstate().assert_fine()
    for node in nodes:
        changes = found.state(cluster.id(node), f"{unit}.service")["changes"]
        assert "restarted" in changes, f"{node}: {changes}"
    down = []
    for node in nodes:
        first, second = sorted(int(value) for value in cluster.shell(node, TIMES.format(unit)).split())
        down.append((first / 1e6, second / 1e6, node))
    down.sort()
    for earlier, later in itertools.pairwise(down):
        assert earlier[1] <= later[0], f"{unit} was down on {earlier[2]} and {later[2]} at once: {down}"
    assert writes.longest_gap() <= BOUND, f"{writes.longest_gap():.1f} s without a write\n{writes.report()}"
    if unit == "etcd":
        assert cluster.healthy_members() == set(cluster.etcd)
    cluster.highstate().assert_clean()
