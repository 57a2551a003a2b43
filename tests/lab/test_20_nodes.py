"""Nodes, versions and programs are what the cluster file and the version table say."""

import json

import pytest

TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}

# unit -> component, which is also the folder below /opt/kaas and, but for flannel, the name of the program
UNITS = {
    "etcd": ["etcd"],
    "master": ["kube-apiserver", "kube-controller-manager", "kube-scheduler"],
    "kubelet": ["containerd", "kubelet", "kube-proxy", "flannel"],
}
PROGRAMS = {"flannel": "flanneld"}
# how each program is asked for its version
VERSION_FLAGS = {
    "etcd": "etcd --version",
    "kube-apiserver": "kube-apiserver --version",
    "kube-controller-manager": "kube-controller-manager --version",
    "kube-scheduler": "kube-scheduler --version",
    "kubectl": "kubectl version --client",
    "kubelet": "kubelet --version",
    "kube-proxy": "kube-proxy --version",
    "containerd": "containerd --version",
    "runc": "runc --version",
    "crictl": "crictl --version",
    "flannel": "flanneld --version",
}


def components(cluster, node, kind="units"):
    """Components on a node: those with a unit, or all that can tell their version."""
    groups = [
        *(["etcd"] if node in cluster.etcd else []),
        *(["master"] if node in cluster.masters else []),
        *(["kubelet"] if node in cluster.kubelets else []),
    ]
    found = [component for group in groups for component in UNITS[group]]
    if kind == "units":
        return found
    return found + (["kubectl"] if "master" in groups else []) + (["runc", "crictl"] if "kubelet" in groups else [])


def version(cluster, component):
    """The version that the table names for a component."""
    return cluster.versions.get(component, cluster.versions["kubernetes"])


@pytest.fixture(scope="module")
def nodes(cluster):
    """Node objects by name."""
    return {node["metadata"]["name"]: node for node in cluster.get("nodes")["items"]}


def test_all_nodes_are_ready(cluster, nodes):
    """Exactly the nodes of the cluster file are registered, and all are Ready."""
    assert sorted(nodes) == sorted(cluster.kubelets)
    assert cluster.ready_nodes() == set(nodes)


def test_nodes_run_the_version_of_the_table(cluster, nodes):
    """Kubelet and container runtime report their versions."""
    for name, node in nodes.items():
        info = node["status"]["nodeInfo"]
        assert info["kubeletVersion"] == "v" + cluster.versions["kubernetes"], name
        assert info["containerRuntimeVersion"] == "containerd://" + cluster.versions["containerd"], name


def test_nodes_have_their_address(cluster, nodes):
    """InternalIP is the address of the cluster file (both, with two families), on machines with several interfaces too."""
    found = {
        name: [item["address"] for item in node["status"]["addresses"] if item["type"] == "InternalIP"]
        for name, node in nodes.items()
    }
    spec = cluster.spec["nodes"]
    assert found == {
        name: [spec[name][key] for key in ("address", "address6") if key in spec[name]] for name in cluster.kubelets
    }


def test_masters_carry_role_label_and_taint(cluster, nodes):
    """A master has the control-plane label; the taint keeps pods off it unless it is a worker too."""
    for name, node in nodes.items():
        labelled = "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"]
        assert labelled == (name in cluster.masters), name
        taints = [{key: taint[key] for key in ("key", "effect")} for taint in node["spec"].get("taints", [])]
        expected = [TAINT] if name in cluster.masters and name not in cluster.workers else []
        assert taints == expected, name


def test_labels_of_the_cluster_file_are_set(cluster, nodes):
    """`labels` of a node in the cluster file stand on its Node object."""
    for name, node in nodes.items():
        wanted = cluster.spec["nodes"][name].get("labels", {})
        assert wanted.items() <= node["metadata"]["labels"].items(), name


def test_api_tells_its_version(cluster):
    """The API's /version is the version of the table, through the API address and from every master."""
    for node in [None, *cluster.masters]:
        assert cluster.api(node).get("/version")["gitVersion"] == "v" + cluster.versions["kubernetes"], node


def test_programs_are_the_versions_of_the_table(cluster):
    """Each program says the version of the table and lies in /opt/kaas/COMPONENT/VERSION."""

    def look(node):
        found = {}
        for component in components(cluster, node, "all"):
            program = PROGRAMS.get(component, component)
            text = cluster.shell(
                node, f"{VERSION_FLAGS[component]} 2>&1; readlink -f $(command -v {program})", check=False
            )
            found[component] = text.strip().splitlines()
        return found

    for node, found in cluster.everywhere(look, cluster.nodes).items():
        for component, lines in found.items():
            wanted, program = version(cluster, component), PROGRAMS.get(component, component)
            assert lines[-1] == f"/opt/kaas/{component}/{wanted}/{program}", node
            assert any(wanted in line for line in lines[:-1]), f"{node}: {component} says {lines[:-1]}, not {wanted}"


def test_units_run_the_installed_programs(cluster):
    """Every unit is enabled and active, and its process was started from the installed file."""

    def look(node):
        script = """for unit in "$@"; do
          echo "$unit $(systemctl is-enabled $unit) $(systemctl is-active $unit)" \
            "$(readlink /proc/$(systemctl show -p MainPID --value $unit)/exe)"
        done"""
        names = [PROGRAMS.get(component, component) for component in components(cluster, node)]
        return cluster.shell(node, script, *names, check=False).splitlines()

    for node, lines in cluster.everywhere(look, cluster.nodes).items():
        expected = []
        for component in components(cluster, node):
            program = PROGRAMS.get(component, component)
            path = f"/opt/kaas/{component}/{version(cluster, component)}/{program}"
            expected.append(f"{program} enabled active {path}")
        assert lines == expected, node


def test_no_unit_has_failed(cluster):
    """systemd is content on every machine."""
    for name in cluster.machines:
        failed = cluster.exec(name, "systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout
        assert failed.strip() == "", name


@pytest.mark.parametrize("service", ["haproxy", "keepalived"])
def test_api_address_services_run_where_the_address_may_be(cluster, service):
    """The services behind the API address run on load balancers, else on masters, of a cluster that has one, and nowhere else."""
    running = [node for node in cluster.nodes if cluster.host(node).service(service).is_running]
    assert running == cluster.api_holders


def test_etcd_has_the_members_of_the_cluster_file(cluster):
    """All members are started, none is a learner, and all know the same cluster."""
    clusters = set()
    for node in cluster.etcd:
        identifier, members = cluster.etcd_members(node)
        clusters.add(identifier)
        assert sorted(members) == sorted(cluster.etcd), node
        assert not [member for member in members.values() if member.get("isLearner")], node
        urls = {name: member["clientURLs"] for name, member in members.items()}
        assert urls == {name: [f"https://{cluster.address(name)}:2379"] for name in cluster.etcd}, node
    assert len(clusters) == 1, f"the members belong to different clusters: {clusters}"
    assert cluster.healthy_members() == set(cluster.etcd)


def test_kubeconfig_works_from_the_host(cluster):
    """The operator's kubeconfig is private, names the API address and is enough for an administrator."""
    assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600
    view = json.loads(cluster.kubectl("config", "view", "--output=json").stdout)
    assert view["clusters"][0]["cluster"]["server"] == cluster.api_url
    assert cluster.kubectl("auth", "can-i", "*", "*").stdout.strip() == "yes"


def test_images_are_fixed_by_digest(cluster):
    """The containers of the formula's own pods, and the pod sandboxes, run images named by digest."""
    pods = [pod for space in ("kube-system", "demo") for pod in cluster.get("pods", f"--namespace={space}")["items"]]
    images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
    assert len(images) >= 3
    assert {image for image in images if "@sha256:" not in image} == set()
    for node in cluster.kubelets:
        assert "sandbox = 'registry.k8s.io/pause@sha256:" in cluster.host(node).file("/etc/containerd/config.toml").content_string
