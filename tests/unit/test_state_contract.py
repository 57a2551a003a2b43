"""
What every state function keeps: ``test=True`` predicts and changes nothing, a failure names its place and what to do.

The table has a case for each function of ``_states``; a function without one fails.
"""

import ast
import functools
import hashlib

import apiserver
import formula
import kaas_artifact
import kaas_pki
import pytest
from loaded import Loaded

# Salt calls it itself, for requisites; tests/unit/test_kaas_service.py has it.
NOT_APPLIED = {"kaas_service.mod_watch"}
UNIT = {
    "LoadState": "loaded",
    "ActiveState": "inactive",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "yes",
    "SubState": "dead",
    "ExecMainStartTimestamp": "",
    "Result": "success",
}


def functions():
    """Return the names of all public state functions."""
    found = set()
    for path in (formula.ROOT / "_states").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                found.add(f"{path.stem}.{node.name}")
    return found - NOT_APPLIED


class World:
    """A node below ``root``, its pillar, and stand-ins for the machine (``tools``) and Salt (``fakes``); ``done``: what was changed."""

    def __init__(self, root, server):
        self.root, self.server, self.done = root, server, []
        self.pillar = {"kaas": {"roles": ["etcd"], "cluster": {"name": "demo", "ca": "ca"}, "node": {"name": "m1"}}}
        self.fakes, self.tools = {}, {}

    def act(self, word, answer=None):
        """Return a stand-in that notes its call and answers."""
        return lambda *args, **kwargs: self.done.append(word) or answer

    def fail(self, error):
        """Return a stand-in that raises."""

        def stand_in(*args, **kwargs):
            raise error

        return stand_in

    def state(self, name, **options):
        """Return a state function of this node."""
        where = {
            "kaas_root": str(self.root),
            "kaas_ca_root": str(self.root / "ca"),
            "extension_modules": str(self.root),
        }
        where["kaas_accounts"] = {"daemon": (1, 1), "nobody-at-all": None}
        loaded = Loaded(
            self.pillar, [name.split(".")[0], "kaas_etcd"], fakes=self.fakes, tools=self.tools, **where, **options
        )
        return loaded.states[name]

    def snapshot(self):
        """Return everything that a state could have changed."""
        files = {
            str(path.relative_to(self.root)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
            for path in self.root.rglob("*")
        }
        return files, repr(self.server.api.objects), list(self.done)


# -- the cases: each prepares a world and returns the arguments; `fails`: the state must not succeed ---------------


def artifact(world, fails):
    store = world.root / "store"
    for name in ("folder", "versions", "remove", "remove_links"):
        world.tools[f"kaas_artifact.{name}"] = functools.partial(getattr(kaas_artifact, name), store=str(store))
    source = world.root / "source"
    source.write_text("tool")
    digest = "0" * 64 if fails else hashlib.sha256(b"tool").hexdigest()
    return [{"name": "tool", "url": source.as_uri(), "sha256": digest}]


def installed(world, fails):
    return {"version": "1", "files": artifact(world, fails), "bin_dir": str(world.root / "bin")}


def uninstalled(world, fails):
    files = artifact(world, False)
    kaas_artifact.fetch(files, kaas_artifact.folder("x", "1", str(world.root / "store")))
    if fails:
        world.tools["kaas_artifact.remove_links"] = world.fail(OSError(16, "Device or resource busy", "/opt/kaas/x"))
    return {"bin_dir": str(world.root / "bin")}


def authorities(world, fails):
    if fails:
        (world.root / "ca" / "x").mkdir(parents=True)
        (world.root / "ca" / "x" / "etcd-ca.key").write_text("half a pair")
        for paths in kaas_pki.authority_files(world.root / "ca" / "x").values():
            (world.root / paths["key"]).parent.mkdir(parents=True, exist_ok=True)
            (world.root / paths["key"]).write_text("half a pair")
    return {}


def etcd(world, fails):
    # Addresses of this machine where nobody listens.
    world.pillar["kaas"]["etcd"] = {"members": {"m1": "127.0.11.1", "m2": "127.0.11.2"}}
    world.fakes["publish.publish"] = world.act("publish", {"ca": {"cluster_id": "cafe1" if fails else None}})
    return {"timeout": 0}


def etcd_configured(world, fails):
    return {**etcd(world, fails), "config": {"name": "m1", "data-dir": str(world.root / "data")}}


def joined(world, fails):
    (world.root / "one").write_text("1\n")
    return {"name": str(world.root / "both"), "sources": [str(world.root / ("none" if fails else "one"))]}


def formula_current(world, fails):
    world.tools["kaas_formula.digest"] = lambda folders: "old" if fails else "new"
    (world.root / "stamp").write_text("new")
    return {"digest": "new", "stamp": str(world.root / "stamp"), "timeout": 0}


def kernel(world, fails):
    world.tools["kaas_kernel.present"] = lambda module: False
    world.tools["kaas_kernel.load"] = world.act("modprobe", "modprobe overlay: not found" if fails else None)
    return {"modules": ["overlay"]}


def old_kernel(world, fails):
    world.tools["kaas_kernel.release"] = lambda: "5.4.0-1-amd64" if fails else "6.1.0"
    return {"version": "5.10", "reason": "network.plugin: cilium"}


def foreign_pods(world, fails):
    folder = world.root / "net.d"
    folder.mkdir()
    (folder / "10-kaas.conflist").write_text("{}")
    world.tools["kaas_cri.usable"] = lambda: True
    world.tools["kaas_cri.networked"] = lambda: ["demo/web"] if fails else []
    conflists = {"flannel": "10-kaas.conflist", "cilium": "05-cilium.conflist"}
    return {"chosen": "cilium", "conflists": conflists, "folder": str(folder)}


def objects(world, fails, **arguments):
    world.server.api.ready = not fails
    return {"kubeconfig": world.server.kubeconfig, "timeout": 0, **arguments}


def object_applied(world, fails):
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
    return objects(world, fails, objects=[config_map])


def object_absent(world, fails):
    arguments = object_applied(world, False)
    world.state("kaas_object.applied")("x", **arguments)
    return objects(world, fails)


def object_ready(world, fails):
    return objects(world, fails, wait=[{"kind": "Deployment", "namespace": "default", "name": "web"}])


def node_labels(world, fails):
    world.server.api.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "m1"}})
    return objects(world, fails, nodes={"m1": {"labels": {"a": "b"}}})


def balanced(world, fails, **arguments):
    world.server.api.put({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "annotations": {"gone": "pool"}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 18080, "nodePort": 30001}]},
    })  # fmt: skip
    if fails:
        world.server.api.refuse = world.fail(apiserver.Refusal(503, "ServiceUnavailable"))
    return {"kubeconfig": world.server.kubeconfig, "timeout": 0, **arguments}


def balancer_configured(world, fails):
    world.tools["kaas_systemd.show"] = lambda unit: {"ActiveState": "active"}
    world.tools["kaas_systemd.systemctl"] = world.act("reload")
    path = str(world.root / "balancer" / "haproxy.cfg")
    where = {"address": "127.0.0.1", "backends": {"w1": "10.0.0.21"}, "reserved": {22: "of SSH"}}
    return balanced(world, fails, name=path, unit="x.service", program="/bin/true", **where)


def balancer_published(world, fails):
    return balanced(world, fails, address="10.0.0.100", reserved={22: "of SSH"})


def certificates(world, fails):
    world.pillar["kaas"].update(topology())
    world.fakes["publish.publish"] = world.act("publish", {})
    return {"timeout": 0}


def topology():
    node = {"id": "m1.demo", "address": "172.28.0.11", "roles": ["etcd"]}
    cluster = {
        "name": "demo",
        "domain": "cluster.local",
        "ca": "ca",
        "api": {"address": "172.28.0.11", "port": 6443, "vip": False},
        "network": {"services": "10.96.0.0/16"},
        "nodes": {"m1": node},
    }
    return {"certificates": kaas_pki.policies(cluster, "m1"), "authorities": kaas_pki.authorities(cluster, "m1")}


def owned(world, fails):
    owner = "nobody-at-all" if fails else "daemon"
    world.pillar["kaas"]["certificates"] = {"x": {"owner": owner, "key": "/x.key"}}
    (world.root / "x.key").write_text("key")
    return {"name": owner}


def pods(world, fails):
    problem = RuntimeError("crictl rmp: no answer")
    world.tools.update(
        {
            "kaas_cri.usable": lambda: True,
            "kaas_cri.pods": lambda: ["pod1"],
            "kaas_cri.remove": world.fail(problem) if fails else world.act("removed"),
        }
    )
    return {}


def machine(world, fails, found=(), **kernel):
    """A kernel with a network: ``kernel`` is what functions of kaas_network answer; the one named ``found`` fails."""
    for name, answer in {"tables": [], "routes": [], "links": [], "chains": [], "routes_over": [], **kernel}.items():
        world.tools[f"kaas_network.{name}"] = lambda *_args, answer=answer: answer
    for name in ("set_route", "delete_route", "delete_link", "delete_chains", "delete_tables", "load"):
        world.tools[f"kaas_network.{name}"] = world.act(name)
    if fails:
        for name in found:
            world.tools[f"kaas_network.{name}"] = world.fail(RuntimeError(f"{name}: Operation not permitted"))


def network_fits(world, fails):
    machine(world, False, underlay=("eth1", 1400 if fails else 1500), pod_networks=[])
    return {"node": "m1", "address": "10.0.0.1", "mtu": 1500}


def network_routes(world, fails):
    machine(world, fails, ["set_route"])
    return {"routes": {"10.244.2.0/24": "10.0.0.2"}, "protocol": "75", "networks": ["10.244.0.0/16"]}


def network_bridged(world, fails):
    machine(world, False, underlay=(None, None) if fails else ("eth1", 1500))
    return {"name": str(world.root / "10.conflist"), "config": {"plugins": [{}]}, "address": "10.0.0.1"}


def network_absent(world, fails):
    route = {"to": "10.244.2.0/24", "via": "10.0.0.2", "dev": "eth1", "protocol": "75", "family": 4}
    machine(world, fails, ["delete_link"], links=["cni0"], tables=["ip x"], chains=["iptables nat X"], routes=[route])
    return {"links": ["cni0"], "tables": ["ip x"], "chains": ["X"], "protocols": ["75"]}


def unit(world, fails, **properties):
    world.tools.update(
        {
            "kaas_systemd.show": lambda name: {**UNIT, **properties},
            "kaas_systemd.systemctl": world.fail(RuntimeError("systemctl: no")) if fails else world.act("systemctl"),
            "kaas_systemd.journal": lambda name: "bind: address already in use",
        }
    )
    return {"name": "x.service"}


# function: (case, what the failure names: place, what to do)
CASES = {
    "kaas_artifact.installed": (installed, "file://", "check `artifacts` in the cluster file"),
    "kaas_artifact.absent": (uninstalled, "/opt/kaas/x", "apply this again"),
    "kaas_ca.present": (authorities, "/ca/x/", "from a backup"),
    "kaas_balancer.configured": (balancer_configured, "kubeconfig", "apply this again when the API answers"),
    "kaas_balancer.published": (balancer_published, "kubeconfig", "kube-apiserver.service"),
    "kaas_balancer.released": (functools.partial(balanced, annotation="gone"), "kubeconfig", "kube-apiserver.service"),
    "kaas_etcd.configured": (etcd_configured, "cluster cafe1", "Start the other members"),
    "kaas_etcd.recorded": (etcd, "127.0.11.1", "is etcd.service active there"),
    "kaas_file.joined": (joined, "/none", "must come first"),
    "kaas_formula.current": (formula_current, "synced modules", "run it again"),
    "kaas_kernel.modules": (kernel, "modprobe overlay", "boot the kernel that is installed"),
    "kaas_kernel.at_least": (old_kernel, "network.plugin: cilium", "boot a newer kernel"),
    "kaas_network.fits": (network_fits, "eth1 has an MTU of 1400", "write network.mtu: 1400"),
    "kaas_network.routes": (network_routes, "set_route: Operation not permitted", "on one link"),
    "kaas_network.bridged": (network_bridged, "no interface says", "must have this address"),
    "kaas_network.absent": (network_absent, "delete_link: Operation not permitted", "apply this again"),
    "kaas_object.applied": (object_applied, "https://127.0.0.1", "kube-apiserver.service"),
    "kaas_object.absent": (object_absent, "https://127.0.0.1", "kube-apiserver.service"),
    "kaas_object.ready": (object_ready, "https://127.0.0.1", "kube-apiserver.service"),
    "kaas_object.node_labels": (node_labels, "https://127.0.0.1", "kube-apiserver.service"),
    "kaas_pki.certificates": (certificates, "CA minion ca", "test.ping|is the key of minion ca accepted"),
    "kaas_pki.owned": (owned, "nobody-at-all", "node.accounts must come first"),
    "kaas_pods.of_network": (foreign_pods, "demo/web", "containerd.emptied"),
    "kaas_pods.absent": (pods, "pods of this node", "crictl pods"),
    "kaas_service.running": (unit, "x.service", "address already in use"),
    "kaas_service.dead": (functools.partial(unit, ActiveState="active"), "x.service", "address already in use"),
}
# What has nothing to predict in these worlds: it looks, or keeps Salt's own modules fresh, which is no change of the node.
NO_CHANGE = {"kaas_formula.current", "kaas_kernel.at_least", "kaas_network.fits", "kaas_object.ready", "kaas_pods.of_network"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    found = apiserver.serve(folder)
    found.kubeconfig = apiserver.kubeconfig(folder / "kubeconfig", found.url, folder / "server.crt")
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def world(tmp_path, server):
    server.api = apiserver.Api()
    return World(tmp_path, server)


def test_every_state_function_has_a_case():
    assert functions() == set(CASES)


@pytest.mark.parametrize("function", CASES)
def test_test_mode_predicts_and_changes_nothing(world, function):
    arguments = {"name": "x", **CASES[function][0](world, fails=False)}
    before = world.snapshot()
    ret = world.state(function, test=True)(**arguments)
    assert set(ret) >= {"name", "changes", "result", "comment"}
    if function in NO_CHANGE:
        assert ret["result"] in (None, True) and ret["changes"] == {}
    else:
        assert ret["result"] is None and ret["changes"], ret
    assert world.snapshot() == before


@pytest.mark.parametrize("function", CASES)
def test_a_failure_names_its_place_and_what_to_do(world, function):
    case, place, advice = CASES[function]
    arguments = {"name": "x", **case(world, fails=True)}
    ret = world.state(function)(**arguments)
    assert ret["result"] is False, ret
    assert place in ret["comment"]
    assert any(text in ret["comment"] for text in advice.split("|")), ret["comment"]
