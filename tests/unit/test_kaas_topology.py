"""What is derived from a cluster file: addresses, versions, taints, labels, kubeconfigs."""

import clusterfiles
import formula
import kaas_clusterfile
import kaas_topology
import pytest
import yaml

TABLE = yaml.safe_load((formula.DATA / "versions.yaml").read_text(encoding="utf-8"))


def cluster(name, **over):
    document = formula.read_cluster(name)["cluster"]
    return kaas_clusterfile.complete(clusterfiles.known(), {"cluster": kaas_topology.merge(document, over)})


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
    ],
)
def test_merge(base, over, merged):
    assert kaas_topology.merge(base, over) == merged


def test_merge_leaves_its_arguments_alone():
    base = {"a": {"b": 1}}
    kaas_topology.merge(base, {"a": {"b": 2}})
    assert base == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demo", {"address": "172.28.0.100", "port": 8443, "url": "https://172.28.0.100:8443", "vip": True}),
        ("mini", {"address": "172.29.0.11", "port": 6443, "url": "https://172.29.0.11:6443", "vip": False}),
    ],
)
def test_the_api_address(name, expected):
    assert kaas_topology.api(cluster(name)) == expected


def test_an_api_address_has_a_port_of_its_own():
    """The masters' apiservers hold 6443 themselves."""
    wanted = cluster("demo")
    del wanted["api"]["port"]
    assert kaas_topology.api(wanted)["port"] == 8443


def test_service_addresses():
    net = kaas_topology.network(cluster("demo"))
    assert (net["service"], net["dns"]) == ("10.96.0.1", "10.96.0.10")
    assert kaas_topology.network(cluster("demo", network={"dns": "10.96.5.5"}))["dns"] == "10.96.5.5"


def dual():
    """The cluster `demo` with both address families."""
    networks = {
        "nodes": ["172.28.0.0/24", "fd00:28::/64"],
        "pods": ["10.244.0.0/16", "fd00:10:244::/56"],
        "services": ["10.96.0.0/16", "fd00:10:96::/112"],
    }
    wanted = cluster("demo", network=networks)
    for number, node in enumerate(wanted["nodes"].values(), 0x11):
        node["address6"] = f"fd00:28::{number:x}"
    return wanted


def test_networks_of_one_and_of_two_address_families():
    assert kaas_topology.networks(cluster("demo"))["pods"] == ["10.244.0.0/16"]
    assert kaas_topology.networks(dual())["pods"] == ["10.244.0.0/16", "fd00:10:244::/56"]
    net = kaas_topology.network(dual())
    assert {key: net[key] for key in ("nodes", "pods", "services", "service", "dns", "dns6", "dual")} == {
        "nodes": "172.28.0.0/24", "pods": "10.244.0.0/16", "services": "10.96.0.0/16",
        "service": "10.96.0.1", "dns": "10.96.0.10", "dns6": "fd00:10:96::a", "dual": True,
    }  # fmt: skip
    single = kaas_topology.network(cluster("demo"))
    assert single["dual"] is False and "dns6" not in single


def test_a_node_has_its_second_address_where_there_are_networks_for_it():
    assert kaas_topology.addresses(dual(), "m1") == ["172.28.0.11", "fd00:28::11"]
    assert kaas_topology.topology(dual())["nodes"]["m1"]["addresses"] == ["172.28.0.11", "fd00:28::11"]
    wanted = cluster("demo")
    wanted["nodes"]["m1"]["address6"] = "fd00:28::11"
    assert kaas_topology.addresses(wanted, "m1") == ["172.28.0.11"]


@pytest.mark.parametrize("wanted", ["1.36", "1.36.3"])
def test_a_minor_or_a_full_version(wanted):
    assert kaas_topology.versions(cluster("demo", kubernetes=wanted), TABLE)["kubernetes"] == "1.36.3"


def test_an_unknown_version_lists_the_known():
    with pytest.raises(ValueError, match=r"1\.37 \(1\.37\.2\), 1\.36 \(1\.36\.3\)"):
        kaas_topology.versions(cluster("demo", kubernetes="1.35"), TABLE)


@pytest.mark.parametrize(
    ("roles", "tainted", "labelled"),
    [
        (["etcd", "master"], True, True),
        (["master", "worker"], False, True),
        (["worker"], False, False),
        (["etcd", "worker"], False, False),
    ],
)
def test_the_control_plane_taint_and_label(roles, tainted, labelled):
    own = {"key": "gpu", "effect": "NoExecute"}
    node = {"roles": roles, "taints": [own], "labels": {"disk": "ssd"}}
    assert kaas_topology.taints(node) == [*([kaas_topology.CONTROL_PLANE_TAINT] if tainted else []), own]
    assert ("node-role.kubernetes.io/control-plane" in kaas_topology.labels(node)) is labelled
    assert kaas_topology.labels(node)["disk"] == "ssd"


def test_kubeconfigs_follow_the_roles():
    worker = kaas_topology.kubeconfigs(cluster("demo"), "w1")
    assert set(worker) == {"kubelet", "kube-proxy", "flannel"}
    master = kaas_topology.kubeconfigs(cluster("demo"), "m1")
    assert set(master) == {*kaas_topology.KUBECONFIGS, "flannel"}
    server = {user: config["clusters"][0]["cluster"]["server"] for user, config in master.items()}
    # What must go on while the API address is on its way reaches the apiserver beside it; the others any apiserver.
    local = {"super-admin", "controller-manager", "scheduler"}
    assert {user for user, url in server.items() if url == "https://127.0.0.1:6443"} == local
    assert {url for user, url in server.items() if user not in local} == {"https://172.28.0.100:8443"}


def test_the_apiserver_asks_its_own_etcd_member_first():
    data = kaas_topology.derive(cluster("demo"), "m2", TABLE, lambda artifact, version, name: {"url": name})
    assert data["etcd_endpoints"] == [f"https://172.28.0.{number}:2379" for number in (12, 11, 13)]


@pytest.mark.parametrize(
    ("name", "digests", "reference"),
    [
        ("coredns", {}, "registry.k8s.io/coredns/coredns:v1.15.0"),
        (
            "coredns",
            {"registry.k8s.io/coredns/coredns:v1.15.0": "sha256:1"},
            "registry.k8s.io/coredns/coredns:v1.15.0@sha256:1",
        ),
        ("coredns", {"registry.k8s.io/coredns/coredns:v1.14.9": "sha256:1"}, "registry.k8s.io/coredns/coredns:v1.15.0"),
        ("pause", {"registry.k8s.io/pause:3.10.2": "sha256:2"}, "registry.k8s.io/pause@sha256:2"),
    ],
    ids=["no digest", "digest", "digest of another version", "pause without its tag"],
)
def test_images_are_named_by_digest_where_it_is_known(name, digests, reference):
    words = {**kaas_topology.versions(cluster("demo"), TABLE), **TABLE["own"]}
    assert kaas_topology.images(cluster("demo"), words, digests)[name] == reference


@pytest.mark.parametrize(
    ("roles", "knows"), [(["etcd"], True), (["master"], True), (["worker"], False), (["loadbalancer"], False)]
)
def test_who_knows_the_etcd_members(roles, knows):
    """A node that has no business with etcd has no certificate for it, and need not know where it is."""
    wanted = cluster("demo", nodes={"x1": {"address": "172.28.0.51", "roles": roles}})
    data = kaas_topology.derive(wanted, "x1", TABLE, lambda artifact, version, name: {"url": name})
    assert ("etcd" in data, "etcd_endpoints" in data) == (knows, knows)


def test_one_master_deploys():
    source = lambda artifact, version, name: {"url": name}  # noqa: E731
    deployers = [
        node
        for node in cluster("demo")["nodes"]
        if kaas_topology.derive(cluster("demo"), node, TABLE, source).get("deployer")
    ]
    assert deployers == ["m1"]


KUBELET = {"containerd", "runc", "cni-plugins", "crictl", "kubelet", "kube-proxy", "flannel"}
CONTROL_PLANE = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"}


@pytest.mark.parametrize(
    ("name", "node", "components"),
    [
        ("demo", "w1", KUBELET),
        ("demo", "m1", KUBELET | CONTROL_PLANE | {"etcd", "metallb"}),
        ("mini", "n1", KUBELET | CONTROL_PLANE | {"etcd", "gateway-api"}),
    ],
)
def test_a_node_installs_what_its_roles_run(name, node, components):
    assert set(kaas_topology.node_artifacts(cluster(name), node)) == components


def test_files_of_a_component_that_two_roles_share():
    """etcd's own programs on its members; a master alone needs the client for locks."""
    wanted = cluster("demo", nodes={"m4": {"address": "172.28.0.14", "roles": ["master"]}})
    assert kaas_topology.node_artifacts(wanted, "m4")["etcd"] == ["etcdctl"]
    assert kaas_topology.node_artifacts(wanted, "m1")["etcd"] == ["etcd", "etcdctl", "etcdutl"]


def test_every_component_of_the_artifacts_has_a_version():
    for node in cluster("demo")["nodes"]:
        for component in kaas_topology.node_artifacts(cluster("demo"), node):
            artifact = "kubernetes" if component in kaas_topology.KUBERNETES_PROGRAMS else component
            assert artifact in TABLE["kubernetes"]["1.36"]


def test_a_node_that_stays_behind_runs_its_own_version():
    """Its own programs and the pod sandbox are of its version; what runs once per cluster is of the cluster's."""
    staged = cluster("demo", kubernetes="1.37", nodes={"w1": {"kubernetes": "1.36"}})
    table = {"kubernetes": {minor: dict(row) for minor, row in TABLE["kubernetes"].items()}, "own": TABLE["own"]}
    table["kubernetes"]["1.36"].update(pause="3.9", coredns="1.14.0")

    def source(artifact, version, name):
        return {"url": f"{artifact}/{version}/{name}"}

    behind, ahead = (kaas_topology.derive(staged, node, table, source) for node in ("w1", "w2"))
    assert (behind["versions"]["kubernetes"], ahead["versions"]["kubernetes"]) == ("1.36.3", "1.37.2")
    assert behind["artifacts"]["kubelet"]["files"][0]["url"] == "kubernetes/1.36.3/kubelet"
    assert behind["images"]["pause"].endswith(":3.9") and behind["images"]["coredns"] == ahead["images"]["coredns"]


def test_masters_alone_get_what_their_apiservers_are_configured_with():
    def source(*_):
        return {}

    found = {node: kaas_topology.derive(cluster("demo"), node, TABLE, source) for node in ("m1", "m2", "w1")}
    assert found["m1"]["rbac"] == {"bindings": []} and "rbac" not in found["m2"]
    assert (
        found["m2"]["authentication"] == {"jwt": []}
        and found["m2"]["admission"]["pod_security"]["enforce"] == "baseline"
    )
    assert not {"authentication", "admission", "rbac"} & found["w1"].keys()


LB = {"address": "172.28.0.31", "roles": ["loadbalancer"]}
E1 = {"address": "172.28.0.41", "roles": ["etcd"]}


@pytest.mark.parametrize(
    ("name", "nodes", "holders"),
    [
        ("demo", {}, ["m1", "m2", "m3"]),
        ("demo", {"lb1": LB, "e1": E1}, ["lb1"]),
        ("mini", {}, []),
        ("mini", {"lb1": LB}, []),
    ],
    ids=["masters", "load balancers alone", "no API address", "no API address to hold"],
)
def test_who_holds_the_api_address(name, nodes, holders):
    wanted = cluster(name, nodes=nodes)
    wanted["api"] = {key: value for key, value in wanted["api"].items() if key != "virtual_router_id"}
    assert list(kaas_topology.api_holders(wanted)) == holders
    for node in wanted["nodes"]:
        data = kaas_topology.derive(wanted, node, TABLE, lambda artifact, version, name: {"url": name})
        assert ("api_holders" in data and "masters" in data) is (node in holders), node
        assert data.get("virtual_router_id") == (51 if node in holders else None), node


@pytest.mark.parametrize(("node", "artifacts"), [("lb1", []), ("e1", ["etcd"])])
def test_nodes_without_a_kubelet(node, artifacts):
    """They install no container runtime, have no kubeconfig, and are no Node objects."""
    wanted = cluster("demo", nodes={"lb1": LB, "e1": E1})
    source = lambda artifact, version, name: {"url": name}  # noqa: E731
    data = kaas_topology.derive(wanted, node, TABLE, source)
    assert (list(data["artifacts"]), data["kubeconfigs"]) == (artifacts, {})
    deployer = kaas_topology.derive(wanted, "m1", TABLE, source)
    assert list(deployer["nodes"]) == ["m1", "m2", "m3", "w1", "w2"]


SOURCES = {
    "published": {"url": "https://x/published", "checksum": "https://x/SHA256SUMS"},
    "indexed": {"url": "https://x/indexed", "sha256": "a" * 64},
    "bare": {"url": "https://x/bare"},
}


@pytest.mark.parametrize(
    ("artifact", "own", "expected"),
    [
        ("published", {}, {"checksum": "https://x/SHA256SUMS"}),
        ("published", {"published": {"file": "b" * 64}}, {"sha256": "b" * 64}),
        ("published", {"published": {"other": "b" * 64}}, {"checksum": "https://x/SHA256SUMS"}),
        ("indexed", {"indexed": {"file": "b" * 64}}, {"sha256": "b" * 64}),
        ("bare", {"bare": {"file": "b" * 64}}, {"sha256": "b" * 64}),
    ],
)
def test_the_cluster_files_checksum_goes_before_others(artifact, own, expected):
    found = kaas_topology.verified(lambda artifact, version, name: SOURCES[artifact], own)(artifact, "1", "file")
    assert found == {"url": f"https://x/{artifact}", **expected}


def test_a_file_that_nobody_vouches_for_is_refused():
    with pytest.raises(ValueError, match=r"https://x/bare has no published checksum.*artifacts.sha256.bare as 'file'"):
        kaas_topology.verified(lambda artifact, version, name: SOURCES[artifact], {})("bare", "1", "file")


@pytest.mark.parametrize(
    ("plugin", "expected"), [("calico", ["bridge", "firewall"]), ("cilium", kaas_topology.CNI_PLUGINS)]
)
def test_what_a_network_brings_itself_is_not_installed(plugin, expected):
    wanted = cluster("demo")
    wanted["plugins"]["sdn"]["name"] = plugin
    assert kaas_topology.node_artifacts(wanted, "w1")["cni-plugins"] == sorted(expected)


def test_networks_that_share_their_pods_have_one_configuration():
    found = kaas_topology.conflists(cluster("demo"))
    assert found["flannel"] == found["routes"] and len({found["flannel"], found["calico"], found["cilium"]}) == 3


# -- the network ---------------------------------------------------------------------------------------------------


def routed(**over):
    return cluster("demo", network=kaas_topology.merge({"plugin": "routes"}, over))


def test_pod_networks_follow_from_addresses():
    """They stay when other nodes come and go; a node may name its own; machines without pods have none."""
    wanted = routed()
    wanted["nodes"]["w1"]["pods"] = "10.244.1.0/24"
    wanted["nodes"]["l1"] = {"address": "172.28.0.31", "roles": ["loadbalancer"]}
    found = kaas_topology.decided_pod_networks(wanted)
    assert found == {
        "m1": ["10.244.11.0/24"],
        "m2": ["10.244.12.0/24"],
        "m3": ["10.244.13.0/24"],
        "w1": ["10.244.1.0/24"],
        "w2": ["10.244.22.0/24"],
    }
    assert kaas_topology.routes(wanted, "w2") == {
        "10.244.11.0/24": "172.28.0.11",
        "10.244.12.0/24": "172.28.0.12",
        "10.244.13.0/24": "172.28.0.13",
        "10.244.1.0/24": "172.28.0.21",
    }
    del wanted["nodes"]["m2"]
    assert kaas_topology.decided_pod_networks(wanted)["m3"] == ["10.244.13.0/24"]


def test_routes_of_both_address_families():
    pair = {"nodes": ["172.28.0.0/24", "fd00:28::/64"], "pods": ["10.244.0.0/16", "fd00:10:244::/56"]}
    wanted = routed(**pair, services=["10.96.0.0/16", "fd00:10:96::/112"])
    for number, node in enumerate(wanted["nodes"].values()):
        node["address6"] = f"fd00:28::{number}"
    assert kaas_topology.pod_networks(wanted, "m1") == ["10.244.11.0/24", "fd00:10:244:b::/64"]
    assert kaas_topology.routes(wanted, "w1")["fd00:10:244:b::/64"] == "fd00:28::0"


def test_kubernetes_gives_nodes_their_networks_with_flannel():
    wanted = cluster("demo")
    assert kaas_topology.decided_pod_networks(wanted) == {} == kaas_topology.routes(wanted, "m1")
    assert kaas_topology.network(wanted)["allocated"] is True
    assert kaas_topology.network(routed())["allocated"] is False


@pytest.mark.parametrize(
    ("network", "overhead", "mtu"),
    [
        ({}, 50, 1450),
        ({"flannel": {"backend": "host-gw"}}, 0, 1500),
        ({"flannel": {"backend": "wireguard"}}, 80, 1420),
        ({"plugin": "routes"}, 0, 1500),
    ],
)
def test_pods_have_the_mtu_that_the_network_leaves(network, overhead, mtu):
    wanted = cluster("demo", network={**network, "mtu": 1500})
    assert kaas_topology.by_backend(wanted, "overhead", 0) == overhead
    assert kaas_topology.network(wanted)["pod_mtu"] == mtu
    # Without it, the machines' interfaces decide.
    assert kaas_topology.pod_mtu(cluster("demo", network=network)) is None


@pytest.mark.parametrize(
    ("network", "more"),
    [
        ({}, {"network.flannel.backend: vxlan": ["vxlan"]}),
        ({"flannel": {"backend": "host-gw"}}, {}),
        ({"flannel": {"backend": "wireguard"}}, {"network.flannel.backend: wireguard": ["wireguard"]}),
        ({"plugin": "routes", "proxy": "ipvs"}, {"network.proxy: ipvs": ["ip_vs"]}),
    ],
)
def test_what_the_kernel_must_have(network, more):
    wanted = cluster("split", network=network)
    assert kaas_topology.kernel(wanted, "w1") == {"containers": ["overlay", "br_netfilter"], **more}
    assert kaas_topology.kernel(wanted, "e1") == {}


def test_a_plug_in_without_back_ends_names_itself():
    wanted = routed()
    wanted["plugins"]["sdn"]["known"]["routes"]["facts"]["kernel"] = ["bridge"]
    assert kaas_topology.kernel(wanted, "w1")["network.plugin: routes"] == ["bridge"]


def test_a_cluster_without_kube_proxy_has_nothing_of_it():
    wanted = cluster("demo", network={"proxy": "none"})
    assert "kube-proxy" in kaas_topology.node_artifacts(cluster("demo"), "w1")
    assert "kube-proxy" not in kaas_topology.node_artifacts(wanted, "w1")
    assert "kube-proxy" not in kaas_topology.kubeconfigs(wanted, "w1")
    assert kaas_topology.topology(wanted)["unused"] == ["kube-proxy"]


# --- the demo -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "over", "node"),
    [
        ("demo", {}, "w1"),
        ("mini", {}, "n1"),
        ("split", {}, "w1"),
        ("demo", {"nodes": {"m1": {"roles": ["etcd", "master", "worker"]}}}, "m1"),
        ("demo", {"nodes": {"w1": {"roles": ["master"]}, "w2": {"roles": ["master"]}}}, "m1"),
    ],
    ids=["first worker", "only node", "one worker", "a master that is a worker", "no worker"],
)
def test_the_demos_database_lies_on_the_first_worker(name, over, node):
    assert kaas_topology.demo(cluster(name, **over)) == {"live": "blue", "node": node}


@pytest.mark.parametrize(
    ("name", "over", "nodes"),
    [
        ("demo", {}, {"m1", "m2", "m3", "w1", "w2"}),
        ("split", {}, {"m1", "m2", "w1"}),
        ("split", {"addons": ["metrics-server"]}, set()),
    ],
    ids=["all with a kubelet", "not on load balancers and etcd", "not without the add-on"],
)
def test_who_knows_about_the_demo(name, over, nodes):
    wanted = cluster(name, **over)
    source = lambda artifact, version, name: {"url": name}  # noqa: E731
    assert {node for node in wanted["nodes"] if "demo" in kaas_topology.derive(wanted, node, TABLE, source)} == nodes


@pytest.mark.parametrize(
    ("addons", "names"),
    [
        ([], {"pause", "coredns"}),
        (["metrics-server"], {"pause", "coredns", "metrics-server"}),
        (["metrics-server", "demo"], {"pause", "coredns", "metrics-server", "demo", "demo-next", "redis"}),
    ],
)
def test_an_add_on_brings_its_images(addons, names):
    words = {**kaas_topology.versions(cluster("demo"), TABLE), **TABLE["own"]}
    found = set(kaas_topology.images(cluster("demo", addons=addons), words, {}))
    assert found - {"metallb-controller", "metallb-speaker"} == names
