"""An etcd member that lost its data comes back by a highstate, into the same cluster."""

import time

from polling import eventually

HIGHLY_AVAILABLE = True


def test_member_without_data_rejoins(cluster):
    """The data of one member is gone; after a highstate of that node: same cluster, all members, the data there again."""
    node = cluster.etcd[-1]
    identifier, members = cluster.etcd_members()
    word = f"written-{time.time_ns()}"
    cluster.api().write("kaas-test-lost-disk", word)

    cluster.exec(node, "systemctl", "stop", "etcd")
    cluster.exec(node, "rm", "-rf", "/var/lib/etcd/member")
    found = cluster.highstate(node).assert_fine()
    assert found.changed()

    eventually(lambda: cluster.healthy_members() == set(cluster.etcd), 60, "all members to be healthy")
    for member in cluster.etcd:
        again, now = cluster.etcd_members(member)
        assert again == identifier, f"{member} belongs to another cluster"
        assert sorted(now) == sorted(cluster.etcd)
        assert all(item.get("clientURLs") for item in now.values()), f"not all members have started: {now}"
    assert now[node]["ID"] != members[node]["ID"], "the member kept its identity although it lost its log"

    key = "/registry/configmaps/default/kaas-test-lost-disk"

    def there():
        return word in cluster.etcdctl(node, "get", key, "--consistency=s", "--print-value-only")

    eventually(there, 30, f"the data on {node}'s own member")
    cluster.highstate().assert_clean()


def test_files_of_root_become_etcds(cluster):
    """Data that root put there (a restored snapshot, an etcd from before it had an account) is etcd's after a start."""
    node = cluster.etcd[-1]
    cluster.exec(node, "systemctl", "stop", "etcd")
    cluster.exec(node, "chown", "--recursive", "root:root", "/var/lib/etcd")
    cluster.exec(node, "systemctl", "start", "etcd")
    eventually(lambda: cluster.healthy_members() == set(cluster.etcd), 60, "all members to be healthy")
    assert cluster.shell(node, "find /var/lib/etcd ! -user etcd ! -name lost+found").strip() == ""
    cluster.highstate(node).assert_clean()
