"""What a kernel's network has, read from the programs' own words, and what is done about it."""

import json

import kaas_network
import pytest
from loaded import Loaded

ADDRESSES = [
    {"ifname": "lo", "mtu": 65536, "addr_info": [{"local": "127.0.0.1"}]},
    {"ifname": "eth1", "mtu": 1400, "addr_info": [{"local": "10.0.0.1"}, {"local": "fd00::1"}]},
    {"ifname": "flannel.1", "mtu": 1350, "addr_info": [{}]},
    {},
]
ROUTES4 = [
    {"dst": "default", "gateway": "10.0.0.254", "dev": "eth1"},
    {"dst": "10.244.1.0/24", "dev": "cni0", "protocol": "kernel"},
    {"dst": "10.244.2.0/24", "gateway": "10.0.0.2", "dev": "eth1", "protocol": "75"},
    {"dst": "10.244.3.0/24", "gateway": "10.244.3.0", "dev": "flannel.1"},
    {"dst": "192.168.0.0/16", "gateway": "10.0.0.9", "dev": "eth1", "protocol": "static"},
    {"dst": "10.244.9.0/24", "type": "blackhole"},
]
ROUTES6 = [{"dst": "fd00:10::/64", "gateway": "fd00::2", "dev": "eth1", "protocol": "75"}]
SAVED = """\
*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:OTHER - [0:0]
-A PREROUTING -m comment --comment "kubernetes portals" -j KUBE-SERVICES
-A PREROUTING -j OTHER
-A KUBE-SERVICES -j KUBE-SEP
COMMIT
*filter
:INPUT ACCEPT [0:0]
COMMIT
"""


@pytest.fixture
def kernel(played):
    """A machine with the above; calls that change something are noted."""
    played(
        "ip",
        f"""case "$*" in
  "-json address show") echo '{json.dumps(ADDRESSES)}';;
  "-json -4 route show table main") echo '{json.dumps(ROUTES4)}';;
  "-json -6 route show table main") echo '{json.dumps(ROUTES6)}';;
esac""",
    )
    listed = {"nftables": [{"metainfo": {}}, {"table": {"family": "ip", "name": "kube-proxy", "handle": 1}}]}
    played("nft", f"""[ "$1" = --json ] && echo '{json.dumps(listed)}' || cat >> {played.folder}/stdin""")
    played("iptables-save", f"cat <<'E'\n{SAVED}E")
    played("ip6tables-save", "echo '*nat'; echo COMMIT")
    for name in ("iptables-restore", "ip6tables-restore"):
        played(name, f"cat >> {played.folder}/stdin")
    return played


def changes(kernel):
    reads = ("ip -json", "nft --json", "iptables-save", "ip6tables-save")
    return [call for call in kernel.calls() if not call.startswith(reads)]


def test_the_interface_with_an_address(kernel):
    assert kaas_network.underlay("10.0.0.1") == ("eth1", 1400)
    assert kaas_network.underlay("fd00::1") == ("eth1", 1400)
    assert kaas_network.underlay("10.0.0.7") == (None, None)


def test_interfaces_by_pattern(kernel):
    assert kaas_network.links(["flannel*", "cni0"]) == ["flannel.1"]
    assert kaas_network.links([]) == []


@pytest.mark.parametrize(
    ("networks", "protocols", "found"),
    [
        (["10.244.0.0/16"], [], ["10.244.2.0/24", "10.244.3.0/24"]),
        ([], ["75"], ["10.244.2.0/24", "fd00:10::/64"]),
        (["fd00:10::/56"], [], ["fd00:10::/64"]),
        ([], [], []),
    ],
)
def test_routes(kernel, networks, protocols, found):
    """Neither the kernel's own nor the default route, nor one that leads nowhere."""
    assert [route["to"] for route in kaas_network.routes(networks, protocols)] == found


def test_routes_over_interfaces(kernel):
    assert kaas_network.routes_over(["flannel.1"]) == ["10.244.3.0/24"]
    assert kaas_network.routes_over([]) == []


def test_wanted_routes(kernel):
    """One of another protocol, or to another gateway, is replaced; one that nobody wants goes."""
    live = kaas_network.routes(["10.244.0.0/16"])
    wanted = {"10.244.2.0/24": "10.0.0.2", "10.244.4.0/24": "10.0.0.4"}
    missing, surplus = kaas_network.wanted_routes(wanted, live, "75")
    assert missing == {"10.244.4.0/24": "10.0.0.4"} and [route["to"] for route in surplus] == ["10.244.3.0/24"]
    assert kaas_network.wanted_routes({"10.244.2.0/24": "10.0.0.9"}, live, "75")[0] == {"10.244.2.0/24": "10.0.0.9"}
    assert kaas_network.wanted_routes({"10.244.2.0/24": "10.0.0.2"}, live, "76")[0] == {"10.244.2.0/24": "10.0.0.2"}


def test_routes_are_set_and_removed(kernel):
    kaas_network.set_route("fd00:10::/64", "fd00::2", "75")
    kaas_network.delete_route(kaas_network.routes([], ["75"])[0])
    assert changes(kernel) == [
        "ip -6 route replace fd00:10::/64 via fd00::2 proto 75",
        "ip -4 route delete 10.244.2.0/24 dev eth1",
    ]


def test_what_went_meanwhile_is_gone_and_what_did_not_is_told(played):
    """A removal that fails is an error only while the thing is there."""
    route = {"to": "10.244.2.0/24", "via": "10.0.0.2", "dev": "eth1", "protocol": "75", "family": 4}
    played("ip", "case \"$*\" in -json*) echo '[]';; *) echo busy >&2; exit 2;; esac")
    kaas_network.delete_route(route)
    kaas_network.delete_link("cni0")
    there = json.dumps([{"ifname": "cni0", "mtu": 1500, "addr_info": []}])
    routes = json.dumps([{"dst": "10.244.2.0/24", "gateway": "10.0.0.2", "dev": "eth1", "protocol": "75"}])
    played("ip", f"case \"$*\" in *address*) echo '{there}';; -json*-4*) echo '{routes}';; -json*) echo '[]';; *) echo busy >&2; exit 2;; esac")
    with pytest.raises(RuntimeError, match="ip link delete cni0: busy"):
        kaas_network.delete_link("cni0")
    with pytest.raises(RuntimeError, match="route delete 10.244.2.0/24 dev eth1: busy"):
        kaas_network.delete_route(route)


def test_tables(kernel):
    assert kaas_network.tables(["ip kube-proxy", "ip6 kube-proxy"]) == ["ip kube-proxy"]
    kaas_network.delete_tables(["ip kube-proxy"])
    assert (kernel.folder / "stdin").read_text() == "delete table ip kube-proxy\n"
    kaas_network.load("/rules")
    assert changes(kernel) == ["nft -f -", "nft -f /rules"]


def test_chains(kernel):
    """The chain, the rules that lead there; nothing of others."""
    assert kaas_network.chains(["KUBE-"]) == ["iptables nat KUBE-SERVICES"]
    assert kaas_network.chains([]) == []
    kaas_network.delete_chains(["KUBE-"])
    assert changes(kernel) == ["iptables-restore --noflush"]
    assert (kernel.folder / "stdin").read_text() == (
        "*nat\n:KUBE-SERVICES - [0:0]\n"
        '-D PREROUTING -m comment --comment "kubernetes portals" -j KUBE-SERVICES\n'
        "-X KUBE-SERVICES\nCOMMIT\n"
    )


def test_a_program_that_is_not_there_has_made_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kaas_network.interfaces() == {} and kaas_network.routes(["0.0.0.0/0"]) == []
    assert kaas_network.tables(["ip x"]) == [] and kaas_network.chains(["X"]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (json.dumps({"plugins": [{"ipam": {"ranges": [[{"subnet": "10.244.1.0/24"}], [{"subnet": "fd00::/64"}]]}}]}), ["10.244.1.0/24", "fd00::/64"]),
        ("{", []), ("[]", []), ('{"plugins": []}', []), ('{"plugins": null}', []),
    ],
)  # fmt: skip
def test_pod_networks_of_a_cni_configuration(tmp_path, text, found):
    (tmp_path / "conflist").write_text(text)
    assert kaas_network.pod_networks(tmp_path / "conflist") == found
    assert kaas_network.pod_networks(tmp_path / "none") == []


# -- states ---------------------------------------------------------------------------------------------


def loaded(tools, **options):
    return Loaded({}, ["kaas_network"], tools={f"kaas_network.{name}": tool for name, tool in tools.items()}, **options)


def always(answer):
    return lambda *_args: answer


CONFIG = {"name": "cbr0", "plugins": [{"type": "bridge", "mtu": 0}, {"type": "portmap"}]}


@pytest.mark.parametrize(("mtu", "wanted"), [(None, 1400), (1350, 1350)])
def test_the_configuration_of_the_bridge(tmp_path, mtu, wanted):
    """The interface's MTU, unless the cluster file says one; written once, again when it is another's or open to others."""
    state = loaded({"underlay": always(("eth1", 1400))}).states["kaas_network.bridged"]
    path = tmp_path / "net.d" / "10.conflist"
    assert state(str(path), CONFIG, "10.0.0.1", mtu=mtu)["changes"] == {"written": f"with an MTU of {wanted}"}
    found = json.loads(path.read_text())
    assert found["plugins"] == [{"type": "bridge", "mtu": wanted}, {"type": "portmap"}] and found["name"] == "cbr0"
    assert path.stat().st_mode & 0o777 == 0o600 and [one.name for one in path.parent.iterdir()] == ["10.conflist"]
    assert state(str(path), CONFIG, "10.0.0.1", mtu=mtu)["changes"] == {}
    path.chmod(0o644)
    assert state(str(path), CONFIG, "10.0.0.1", mtu=mtu)["changes"]
    path.write_text("{}")
    assert state(str(path), CONFIG, "10.0.0.1", mtu=mtu)["changes"]


@pytest.mark.parametrize(
    ("underlay", "mtu", "have", "pods", "says"),
    [
        (("eth1", 1500), None, [], [], None),
        (("eth1", 1500), 1500, ["10.244.1.0/24"], ["10.244.1.0/24"], None),
        (("eth1", 9000), 1500, ["10.244.1.0/24"], [], None),
        ((None, None), 1500, [], [], "no interface has the address 10.0.0.1: correct nodes.m1.address"),
        (("eth1", 1499), 1500, [], [], "eth1 has an MTU of 1499, network.mtu is 1500"),
        (("eth1", 1500), None, ["10.244.1.0/24"], ["10.244.11.0/24"], "write `pods: 10.244.1.0/24` into nodes.m1"),
        (("eth1", 1500), None, ["10.244.1.0/24", "fd00::/64"], ["10.244.11.0/24"], "`pods: [10.244.1.0/24, fd00::/64]`"),
    ],
)
def test_a_machine_fits(underlay, mtu, have, pods, says):
    states = loaded({"underlay": always(underlay), "pod_networks": always(have)}).states
    ret = states["kaas_network.fits"]("x", "m1", "10.0.0.1", mtu=mtu, pods=pods)
    assert ret["result"] is (says is None) and ret["changes"] == {}
    assert (says or "") in ret["comment"]


def test_a_machine_that_cannot_be_looked_at():
    def fails(_address):
        raise RuntimeError("ip: no")

    ret = loaded({"underlay": fails}).states["kaas_network.fits"]("x", "m1", "10.0.0.1")
    assert ret["result"] is False and "iproute2" in ret["comment"]


def test_routes_are_brought_about(kernel):
    """Missing ones set, others of the pod networks removed, the rules loaded; and nothing when all is there."""
    state = loaded({}).states["kaas_network.routes"]
    wanted = {"10.244.2.0/24": "10.0.0.2", "10.244.4.0/24": "10.0.0.4"}
    ret = state("x", wanted, "75", ["10.244.0.0/16"], table="ip kaas-routes", ruleset="/rules")
    assert ret["result"] is True and ret["changes"] == {
        "set": {"10.244.4.0/24": "10.0.0.4"},
        "removed": ["10.244.3.0/24", "fd00:10::/64"],
        "loaded": "/rules",
    }
    assert changes(kernel) == [
        "ip -4 route replace 10.244.4.0/24 via 10.0.0.4 proto 75",
        "ip -4 route delete 10.244.3.0/24 dev flannel.1",
        "ip -6 route delete fd00:10::/64 dev eth1",
        "nft -f /rules",
    ]
    live = {"10.244.2.0/24": "10.0.0.2", "fd00:10::/64": "fd00::2"}
    ret = state("x", live, "75", ["fd00:10::/56"], table="ip kube-proxy", ruleset="/rules")
    assert ret["result"] is True and ret["changes"] == {}


def test_nothing_is_left(kernel):
    pillar = {"kaas": {"cluster": {"networks": {"pods": ["10.244.0.0/16"]}}}}
    state = Loaded(pillar, ["kaas_network"]).states["kaas_network.absent"]
    ret = state("x", links=["flannel*"], tables=["ip kube-proxy"], chains=["KUBE-"], pods=True, protocols=["75"])
    assert ret["changes"]["removed"] == {
        "links": ["flannel.1"],
        "tables": ["ip kube-proxy"],
        "chains": ["iptables nat KUBE-SERVICES"],
        "routes": ["10.244.2.0/24", "10.244.3.0/24", "fd00:10::/64"],
    }
    assert "ip link delete flannel.1" in changes(kernel)
    ret = state("x", links=["cali*"], tables=["ip x"], chains=["CNI-"])
    assert ret["result"] is True and ret["changes"] == {}


def test_interfaces_wait_until_routes_lead_elsewhere(kernel):
    """The third look finds none; one that never gets empty goes all the same."""
    looks = iter([["10.244.3.0/24"], ["10.244.3.0/24"], []])
    state = loaded({"routes_over": lambda _links: next(looks)}).states["kaas_network.absent"]
    assert state("x", links=["flannel*"], idle=60)["result"] is True
    assert next(looks, None) is None and "ip link delete flannel.1" in changes(kernel)
    state = loaded({"routes_over": always(["10.244.3.0/24"])}).states["kaas_network.absent"]
    assert state("x", links=["flannel*"], idle=0.01)["result"] is True
