"""A highstate that was cut off half-way is finished by the next one."""

from polling import eventually

# Runs in the machine beside the highstate: ends everything of the minion as soon as an artifact is half downloaded.
ASSASSIN = """
for _ in $(seq 3000); do
  part=$(ls -d /opt/kaas/*/*/.part-* 2>/dev/null)
  if [ -n "$part" ]; then
    systemctl kill --kill-who=all --signal=KILL salt-minion
    echo "$part"
    exit 0
  fi
  sleep 0.02
done
echo "no artifact was downloaded within a minute" >&2
exit 1
"""


def test_killed_half_way(cluster):
    """The minion and its job are killed while programs are downloaded; the next highstate repairs everything, the one after has no work."""
    node = cluster.workers[-1]
    cluster.shell(
        node,
        """systemctl stop kubelet kube-proxy
        rm -r /opt/kaas/kubelet /opt/kaas/kube-proxy /opt/kaas/flannel /opt/kaas/crictl
        rm /etc/systemd/system/kubelet.service /etc/kubernetes/kube-proxy.yaml /usr/local/bin/kube-proxy
        systemctl daemon-reload""",
    )
    cluster.exec("salt", "salt", "--async", cluster.id(node), "state.highstate")
    partial = cluster.shell(node, ASSASSIN, timeout=120).strip()
    assert partial.startswith("/opt/kaas/"), partial
    host = cluster.host(node)
    assert not host.service("kubelet").is_running, "the highstate was killed too late to mean anything"

    cluster.exec(node, "systemctl", "start", "salt-minion")
    cluster.wait_minions()
    running = "ps -eo args | grep -c '[s]alt-minion.*_thread'"
    eventually(lambda: cluster.shell(node, running, check=False).strip() == "0", 30, "the killed job to be gone")
    repaired = cluster.highstate(node).assert_fine()
    assert repaired.changed()
    cluster.wait_nodes_ready()
    left = cluster.shell(node, "ls -d /opt/kaas/*/*/.part-* 2>/dev/null", check=False).split()
    assert left == [], "the interrupted download left rubbish behind"
    cluster.highstate(node).assert_clean()
