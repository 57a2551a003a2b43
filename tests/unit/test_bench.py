"""The benchmarks' pure parts: figures, finish line, what is read from the formula, kubeadm's side, report."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("bench", "lab", "artifacts") if str(ROOT / name) not in sys.path]

from kaas_bench import (  # noqa: E402
    cgroups,
    described,
    finish,
    flannel_pods,
    kubeadm_config,
    network,
    node_setup,
    pictures,
    report,
    salted,
    spread,
)
from kaas_lab import cluster as clusters  # noqa: E402
from kaas_lab.errors import LabError  # noqa: E402

VERSIONS = {
    "kubernetes": "1.36.3",
    "etcd": "3.6.14",
    "containerd": "2.4.2",
    "runc": "1.5.2",
    "crictl": "1.36.0",
    "cni-plugins": "1.9.1",
    "coredns": "1.15.0",
    "flannel": "0.28.4",
}


@pytest.fixture
def demo():
    return clusters.load(ROOT / "pillar" / "clusters", "demo")


def test_spread_and_ratio():
    assert spread.spread([3.0, 1.0, 2.0]) == spread.Spread(1.0, 2.0, 3.0, 3)
    assert spread.spread([3.0, 1.0, 2.0]).text() == "2.0 (1.0–3.0)"
    assert spread.spread([2.0]).text(2) == "2.00"
    both = spread.ratio([30.0, 20.0], [80.0, 100.0])
    assert (both.low, both.high, both.runs) == (0.2, 0.375, 2)
    assert both.middle == pytest.approx(25 / 90)
    with pytest.raises(ValueError, match="no run"):
        spread.spread([])


def cgroup_v1(root):
    cpu = root / "cpuacct" / "docker" / "abc"
    memory = root / "memory" / "docker" / "abc"
    cpu.mkdir(parents=True)
    memory.mkdir(parents=True)
    (cpu / "cpuacct.usage").write_text("2500000000\n")
    (memory / "memory.usage_in_bytes").write_text("1000\n")
    (memory / "memory.stat").write_text("cache 5\ntotal_rss 600\ntotal_inactive_file 300\n")


def cgroup_v2(root):
    (root / "cgroup.controllers").parent.mkdir(parents=True, exist_ok=True)
    (root / "cgroup.controllers").write_text("cpu memory\n")
    folder = root / "system.slice" / "docker-abc.scope"
    folder.mkdir(parents=True)
    (folder / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (folder / "memory.current").write_text("1000\n")
    (folder / "memory.stat").write_text("anon 600\ninactive_file 300\n")


@pytest.mark.parametrize("make", [cgroup_v1, cgroup_v2])
def test_cgroups(tmp_path, make):
    make(tmp_path)
    assert cgroups.cpu_seconds("abc", tmp_path) == 2.5
    assert cgroups.total_cpu({"a": "abc", "b": "abc"}, tmp_path) == 5.0
    assert cgroups.memory("abc", tmp_path) == cgroups.Memory(700, 600)
    assert cgroups.memory("abc", tmp_path, below="system.slice/no.service") is None
    with pytest.raises(LabError, match="no cgroup of container def"):
        cgroups.cpu_seconds("def", tmp_path)


def test_host_load_counts_cores_in_use():
    before = "cpu  100 0 0 100 0 0 0 0 0 0\ncpu0 1\ncpu1 1\nintr 5\n"
    after = "cpu  150 0 0 140 10 0 0 0 0 0\ncpu0 1\ncpu1 1\nintr 5\n"
    assert cgroups.host_busy(before, after) == 1.0
    assert cgroups.host_busy(before, before) == 0.0


def test_finish_line():
    def node(name, status):
        return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": status}]}}

    nodes = {"items": [node("m1", "True"), node("w1", "Unknown")]}
    assert finish.nodes_missing(nodes, {"m1", "w1", "w2"}) == {"w1", "w2"}
    assert finish.nodes_missing(None, {"m1"}) == {"m1"}

    def deployment(**status):
        return {"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}

    assert finish.complete(deployment(observedGeneration=2, availableReplicas=2, updatedReplicas=2))
    assert not finish.complete(deployment(observedGeneration=1, availableReplicas=2, updatedReplicas=2))
    assert not finish.complete(deployment(observedGeneration=2, availableReplicas=1, updatedReplicas=2))
    assert not finish.complete(deployment(observedGeneration=2, availableReplicas=2, updatedReplicas=1))
    assert not finish.complete(deployment())
    assert not finish.complete(None)


def test_files_of_rendered_states():
    high = {
        "/etc/a": {"file": [{"makedirs": True}, {"contents": "one\n"}, "managed", {"order": 10000}], "__sls__": "x"},
        "list": {"file": ["managed", {"name": "/etc/b"}, {"contents": ["one", 2]}]},
        "/etc/c": {"file": [{"serializer": "yaml"}, {"dataset": {"k": [1]}}, "serialize"]},
        "haproxy": {"pkg": ["installed"]},
        "/etc/d": {"file": ["directory"]},
    }
    found = described.files(high)
    assert found["/etc/a"] == "one\n"
    assert found["/etc/b"] == "one\n2\n"
    assert yaml.safe_load(found["/etc/c"]) == {"k": [1]}
    assert set(found) == {"/etc/a", "/etc/b", "/etc/c"}
    with pytest.raises(LabError, match="/etc/e"):
        described.files({"/etc/e": {"file": ["managed", {"source": "salt://x"}]}})


def test_folders_of_rendered_states():
    owner = {"mode": "0700", "user": 65532, "group": 65532}
    high = {"/var/a": {"file": ["directory", {"makedirs": True}, owner]}, "/etc/b": {"file": ["managed", {"contents": "x"}]}}
    assert described.folders(high) == {"/var/a": owner}


def test_kubeadms_load_balancer_trusts_what_it_cannot_know_yet():
    given = {"haproxy.cfg": "server m1 verify required ca-file /pki/ca.crt inter 1s", "other": "x"}
    assert described.unverified(given) == {"haproxy.cfg": "server m1 verify none inter 1s", "other": "x"}


def test_objects_of_rendered_states_get_their_initial_values():
    def item(kind, **rest):
        return {"kind": kind, "metadata": {"name": "a", "namespace": "demo"}, **rest}

    high = {
        "x": {
            "kaas_object": [
                {"objects": [item("Deployment", spec={"paused": True}), item("HorizontalPodAutoscaler")]},
                {"initial": [item("Deployment", spec={"replicas": 3})]},
                "applied",
            ]
        },
        "y": {"kaas_object": ["ready", {"wait": []}]},
    }
    found = described.objects(high)
    assert [one["kind"] for one in found] == ["Deployment", "HorizontalPodAutoscaler"]
    assert found[0]["spec"] == {"paused": True, "replicas": 3}
    assert [one["kind"] for one in described.without_autoscaler(found)] == ["Deployment"]


def test_kubeadm_configuration(demo):
    init, cluster, kubelet, proxy = yaml.safe_load_all(kubeadm_config.init(demo, demo.masters[0], VERSIONS))
    assert init["localAPIEndpoint"]["advertiseAddress"] == "172.28.0.11"
    assert init["nodeRegistration"]["name"] == "m1"
    assert cluster["controlPlaneEndpoint"] == "172.28.0.100:8443"
    assert cluster["kubernetesVersion"] == "v1.36.3"
    assert cluster["networking"] == {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/16"}
    assert kubelet["failSwapOn"] is False and kubelet["cgroupDriver"] == "systemd"
    assert proxy["mode"] == "nftables" and proxy["nodePortAddresses"] == ["172.28.0.0/24"]
    assert proxy["conntrack"]["maxPerCore"] == 0

    master = yaml.safe_load(kubeadm_config.join(demo, demo.machine("m2")))
    assert master["controlPlane"]["certificateKey"] == init["certificateKey"]
    assert master["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == "172.28.0.12"
    worker = yaml.safe_load(kubeadm_config.join(demo, demo.machine("w1")))
    assert "controlPlane" not in worker
    assert worker["discovery"]["bootstrapToken"]["token"] == init["bootstrapTokens"][0]["token"]


def index():
    artifacts = {}
    for component, programs in node_setup.PROGRAMS.items():
        files = {name: {"sha256": "0" * 64, "size": 1} for name in programs}
        artifacts[component] = {VERSIONS[component]: {"linux-amd64": files}}
    return {"artifacts": artifacts, "images": {}}


def test_node_script(tmp_path):
    fetched = node_setup.downloads(index(), VERSIONS, "http://172.28.0.2:8080", "linux-amd64")
    kubeadm = next(item for item in fetched if item.target.endswith("/kubeadm"))
    assert kubeadm.url == "http://172.28.0.2:8080/kubernetes/1.36.3/linux-amd64/kubeadm"
    text = node_setup.script(fetched, {"/etc/containerd/config.toml": "version = 3\n"}, ["containerd", "haproxy"])
    script = tmp_path / "script"
    script.write_text(text)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert "systemctl start containerd haproxy" in text
    assert "cat > /etc/containerd/config.toml <<'END'\nversion = 3\nEND\n" in text
    assert "install" not in text
    owner = {"/var/lib/kaas/demo": {"mode": "0700", "user": 65532, "group": 65532}}
    script.write_text(node_setup.script(fetched, {}, ["containerd"], owner))
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert "install --directory --mode=0700 --owner=65532 --group=65532 /var/lib/kaas/demo\n" in script.read_text()
    with pytest.raises(LabError, match="no runc 9"):
        node_setup.downloads(index(), {**VERSIONS, "runc": "9"}, "http://x", "linux-amd64")


def test_flannel_pods(tmp_path):
    kinds = {item["kind"]: item for item in flannel_pods.objects("image:1", "10.244.0.0/16", "vxlan")}
    assert list(kinds) == ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "ConfigMap", "DaemonSet"]
    net = json.loads(kinds["ConfigMap"]["data"]["net-conf.json"])
    assert net["Network"] == "10.244.0.0/16" and net["Backend"] == {"Type": "vxlan"}
    pod = kinds["DaemonSet"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "image:1"
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
    script = tmp_path / "start"
    script.write_text(flannel_pods.START)
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0


def test_images_for_kubeadm():
    found = {image.ref: (image, files) for image, files in pictures.wanted(VERSIONS, {}, {})}
    assert {f"registry.k8s.io/kube-{name}:v1.36.3" for name in ("apiserver", "scheduler", "proxy")} <= set(found)
    image, files = found["registry.k8s.io/etcd:3.6.14-0"]
    assert set(files) == {"/usr/local/bin/etcd", "/usr/local/bin/etcdctl"} and image.repository == "etcd"
    assert all(len(paths) == 1 for paths in files.values())


def state(number, start, milliseconds):
    return {"__id__": f"id{number}", "__run_num__": number, "start_time": start, "duration": milliseconds}


def test_slowest_states_in_their_order_over_midnight():
    returns = {
        "m1.demo": {
            "kaas_service_|-id2_|-b_|-running": state(2, "00:00:03.500000", 1500),
            "file_|-id0_|-/etc/x_|-managed": state(0, "23:59:59.000000", 5),
            "pkg_|-id1_|-a_|-installed": state(1, "23:59:59.500000", 250.0),
        },
        "ca": {},
        "w1.demo": ["rendering failed"],
    }
    found = salted.slowest(returns)
    assert found["ca"] == found["w1.demo"] == []
    assert found["m1.demo"] == [
        {"state": "pkg.installed id1", "start": 0.5, "seconds": 0.25},
        {"state": "kaas_service.running id2", "start": 4.5, "seconds": 1.5},
    ]


def results():
    def laps(seconds):
        return {"highstate": seconds - 2, "finish": seconds}

    job = [{"seconds": 4.0, "cpu": 6.0, "net": 5.0, "states": 300, "changed": 0}]
    floor = [{"seconds": 2.0, "cpu": 3.0, "net": 2.5, "states": 6, "changed": 0}]
    machine = {"cores": 0.1, "working": 500, "anonymous": 400, "minion": 90}
    return {
        "conditions": {
            "date": "2026-01-02 03:04 UTC",
            "processor": "Some CPU",
            "cores": 2,
            "memory": 24,
            "kernel": "6.1",
            "cgroups": 1,
            "commit": "abc",
            "cluster": "demo: 3 masters, 2 others",
            "versions": {"kubernetes": "1.36.3"},
        },
        "bringup": [
            {"kind": "kaas", "busy": 0.1, "laps": laps(30.0)},
            {"kind": "kubeadm", "busy": 0.2, "laps": {"init": 20.0, "finish": 80.0}},
            {"kind": "kaas", "busy": 0.1, "laps": {"highstate": 9.0}, "error": "it broke"},
            {"kind": "kaas", "busy": 0.1, "laps": laps(40.0)},
        ],
        "noop": {"idle": 0.3, "machines": ["m1", "salt"], "jobs": {"ping": floor, "floor": floor, "highstate": job}},
        "rest": {
            kind: {"age": 120, "window": 60, "machines": {"m1": machine, "salt": machine}}
            for kind in ("kaas", "kubeadm")
        },
    }


def test_report():
    text = report.markdown(results())
    assert "KaaS: median 35.0 (30.0–40.0) s, 2 runs" in text
    assert "KaaS / kubeadm: 0.44 (0.38–0.50)" in text
    assert "failed: it broke" in text
    assert "highstate / one state: 2.00 in wall time, 2.00 in net CPU" in text
    assert "| m1 | 500 (400) | 90 | 0.100 | 500 (400) | 90 | 0.100 |" in text
    assert "KaaS, nodes together: 500 MiB, 0.10 cores" in text
    for table in text.split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1, table


def test_report_of_a_part():
    part = {"conditions": results()["conditions"], "bringup": results()["bringup"][:1]}
    text = report.markdown(part)
    assert "KaaS / kubeadm" not in text and "No-op" not in text


# -- network -------------------------------------------------------------------------------------------------------


def running(name, node, address, **spec):
    meta = {"name": name, "namespace": "demo"}
    return {"metadata": meta, "spec": {"nodeName": node, **spec}, "status": {"phase": "Running", "podIP": address}}


def test_two_pods_of_different_nodes_are_measured():
    leaving = running("d", "w3", "10.0.0.4")
    leaving["metadata"]["deletionTimestamp"] = "now"
    waiting = {**running("e", "w4", "10.0.0.5"), "status": {"phase": "Pending"}}
    items = [running("a", "w1", "10.0.0.1", hostNetwork=True), leaving, waiting, running("b", "w1", "10.0.0.2")]
    with pytest.raises(LabError, match="fewer than two nodes"):
        network.plan({"items": items})
    found = network.plan({"items": [*items, running("f", "w1", "10.0.0.6"), running("c", "w2", "10.0.0.3")]})
    assert [(one["name"], one["node"], one["address"]) for one in found] == [("b", "w1", "10.0.0.2"), ("c", "w2", "10.0.0.3")]


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ({}, "flannel vxlan"),
        ({"plugin": "flannel", "flannel": {"backend": "host-gw"}}, "flannel host-gw"),
        ({"plugin": "routes"}, "routes"),
    ],
)
def test_the_network_has_a_name(chosen, text):
    assert network.name({"network": chosen}) == text


def test_what_iperf3_says():
    assert network.received({"end": {"sum_received": {"bits_per_second": 2.74e9}}}) == 2.74
    with pytest.raises(LabError, match="iperf3: unable to connect"):
        network.received({"error": "unable to connect"})


def test_throughput_in_the_report():
    gbits = {"nodes": [10.0, 12.0, 11.0], "pods": [5.0, 5.5, 6.0]}
    found = {"plugin": "routes", "nodes": ["w1", "w2"], "mtu": {"nodes": 1500, "pods": 1450}, "gbits": gbits}
    text = "\n".join(report._network(found))
    assert "| routes | 1500 / 1450 | 11.00 (10.00–12.00) | 5.50 (5.00–6.00) | 0.50 (0.42–0.60) |" in text
