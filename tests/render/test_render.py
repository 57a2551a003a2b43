"""Every state file on every node of both topologies: rendered, compiled, requisites resolved, functions there, arguments known."""

import inspect

import formula
import pytest
from salt.exceptions import SaltRenderError
from salt.state import STATE_INTERNAL_KEYWORDS

NODES = ("m1.demo", "m2.demo", "w1.demo", "n1.mini", "ca")
# What Salt itself takes out of a state before it calls the function.
GLOBALS = set(STATE_INTERNAL_KEYWORDS) | {"__env__", "__sls__", "__id__", "order", "state", "fun", "name"}


def every_sls():
    """Return the names of all state files."""
    root = formula.ROOT / "salt"
    names = []
    for path in sorted(root.rglob("*.sls")):
        parts = path.relative_to(root).with_suffix("").parts
        if not parts[0].startswith("_") and path.name != "top.sls":
            names.append(".".join(parts))
    return names


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """Return ``{minion id: (HighState, pillar)}``."""
    folder = tmp_path_factory.mktemp("render")
    found = {}
    for minion_id in NODES:
        opts = formula.options(folder, minion_id)
        pillar = formula.compile_pillar(opts)
        assert "_errors" not in pillar
        found[minion_id] = formula.highstate(opts, pillar)
    return found


def low_state(highstate, matches):
    """Render ``matches`` ({"base": [sls]}) and return the low chunks; fail on any problem."""
    # One HighState renders many files here; what the last one built must not count.
    highstate.building_highstate = type(highstate.building_highstate)()
    high, errors = highstate.render_highstate(matches)
    assert errors == []
    if "__extend__" in high:
        high, errors = highstate.state.reconcile_extend(high)
        assert errors == []
    assert highstate.state.verify_high(high) == []
    high, errors = highstate.state.requisite_in(high)
    assert errors == []
    chunks, errors = highstate.state.compile_high_data(high)
    assert errors == []
    return chunks


def resolve(chunks):
    """Return requisites that lead to no state of the run."""
    ids = {(chunk["state"], chunk["__id__"]) for chunk in chunks} | {
        (chunk["state"], chunk["name"]) for chunk in chunks
    }
    files = {chunk["__sls__"] for chunk in chunks}
    dangling = []
    for chunk in chunks:
        for kind in ("require", "watch", "onchanges", "require_any", "prereq", "listen"):
            for requisite in chunk.get(kind, []):
                for state, name in requisite.items():
                    if (state == "sls" and name not in files) or (state != "sls" and (state, name) not in ids):
                        dangling.append(f"{chunk['__sls__']}: {chunk['__id__']} {kind} {state}: {name}")
    return dangling


def bad_calls(highstate, chunks):
    """Return chunks whose function does not exist or does not take their arguments."""
    problems = []
    for chunk in chunks:
        where = f"{chunk['__sls__']}: {chunk['__id__']}: {chunk['state']}.{chunk['fun']}"
        function = highstate.state.states.get(f"{chunk['state']}.{chunk['fun']}")
        if function is None:
            problems.append(f"{where} does not exist")
            continue
        signature = inspect.signature(inspect.unwrap(function))
        if any(kind.kind is kind.VAR_KEYWORD for kind in signature.parameters.values()) and not chunk[
            "state"
        ].startswith("kaas_"):
            continue
        for argument in chunk:
            if argument not in GLOBALS and not argument.startswith("__") and argument not in signature.parameters:
                problems.append(f"{where} takes no argument {argument}")
        for name, parameter in signature.parameters.items():
            if (
                parameter.default is parameter.empty
                and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
                and name not in chunk
            ):
                problems.append(f"{where} lacks the argument {name}")
    return problems


@pytest.mark.parametrize("minion_id", NODES)
def test_highstate_compiles(nodes, minion_id):
    highstate = nodes[minion_id]
    chunks = low_state(highstate, highstate.top_matches(highstate.get_top()))
    assert chunks
    assert resolve(chunks) == []
    assert bad_calls(highstate, chunks) == []
    # The formula is checked before the first state of ours.
    assert chunks[0]["__id__"] == "formula-synced"


@pytest.mark.parametrize("sls", every_sls())
def test_every_file_renders_alone_where_it_belongs(nodes, sls):
    used = 0
    for highstate in nodes.values():
        kaas = highstate.state.opts["pillar"]["kaas"]
        if not belongs(sls, kaas):
            continue
        chunks = low_state(highstate, {"base": [sls]})
        assert resolve(chunks) == []
        assert bad_calls(highstate, chunks) == []
        used += 1
    assert used, f"{sls} belongs to no node of any topology"


def belongs(sls, kaas):
    """Return whether a state file is about a node with this pillar."""
    component = sls.split(".")[0]
    roles = kaas["roles"]
    if component == "ca" or sls == "roles.ca":
        return roles == ["ca"]
    if component == "formula":
        return True
    if roles == ["ca"]:
        return False
    if component == "roles":
        return sls.split(".")[1] in roles
    if sls.endswith((".deployed",)) or component in ("coredns", "metrics-server", "demo", "rbac", "nodes"):
        return kaas.get("deployer", False)
    if component in ("haproxy", "keepalived"):
        return "masters" in kaas and kaas["cluster"]["api"]["vip"]
    if component == "etcd":
        return "etcd" in roles
    if component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"):
        return "master" in roles
    return True


def test_a_missing_ext_pillar_stops_the_highstate(tmp_path):
    opts = formula.options(tmp_path, "m1.demo")
    del opts["ext_pillar"]
    with pytest.raises(SaltRenderError, match="did not run the ext_pillar"):
        formula.highstate(opts, formula.compile_pillar(opts)).get_tops()
