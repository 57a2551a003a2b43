"""Every state file for every topology: rendered, compiled, requisites resolved, functions there, arguments known."""

import contextlib
import time

import branches
import compiled
import formula
import kaas_topology
import matrix
import pytest
import yaml
from salt.exceptions import SaltRenderError

STATES = formula.ROOT / "salt"
TOPOLOGIES, CHOICES = matrix.cases()
CASES = {**TOPOLOGIES, **CHOICES}
# Files that undo something; no highstate has them.
UNDO = ("absent", "undeployed", "emptied", "unbridged")
# Branches that no node of any topology takes, with the reason.
UNREACHED: dict[str, str] = {}


def every_sls():
    """Return the names of all state files."""
    names = []
    for path in sorted(STATES.rglob("*.sls")):
        parts = path.relative_to(STATES).with_suffix("").parts
        if not parts[0].startswith("_") and path.name != "top.sls":
            names.append(".".join(parts))
    return names


class Rendered:
    """All cases, each rendered when it is first asked for; ``branches`` is what all of them took."""

    def __init__(self, folder):
        self.folder, self.branches = folder, branches.Branches(STATES, folder / "cache" / "files" / "base")
        self.took, self._nodes, self._highstates = {}, {}, {}

    def nodes(self, case):
        """Return ``{kind: Node}`` of a case."""
        if case not in self._nodes:
            root = pillar_root(self.folder / case, CASES[case])
            defaults = yaml.safe_load((formula.DATA / "defaults.yaml").read_text(encoding="utf-8"))
            cluster = kaas_topology.merge(defaults, CASES[case])
            kinds = {**matrix.kinds(cluster), **({"ca": cluster["ca"]} if case in TOPOLOGIES else {})}
            self._nodes[case] = {
                kind: compiled.Node(self.folder, minion_id, root, self.branches) for kind, minion_id in kinds.items()
            }
        return self._nodes[case]

    def highstates(self, case):
        """Return ``{kind: low chunks}`` of a case's highstates; what is wrong with them is raised at every call."""
        if case not in self._highstates:
            began = time.monotonic()
            try:
                self._highstates[case] = {kind: node.highstate() for kind, node in self.nodes(case).items()}
            except AssertionError as error:
                self._highstates[case] = error
            self.took[case] = time.monotonic() - began
        if isinstance(self._highstates[case], AssertionError):
            raise self._highstates[case]
        return self._highstates[case]

    def sound(self):
        """Return the topologies whose highstates compile; the others are the matter of one test each, not of all."""
        found = []
        for case in TOPOLOGIES:
            with contextlib.suppress(AssertionError):
                self.highstates(case)
                found.append(case)
        return found

    def alone(self, case, sls):
        """Return ``[(Node, low chunks)]`` of a state file on each kind of node that it belongs to."""
        found = []
        for kind, chunks in self.highstates(case).items():
            # What undoes something is for any node; the CA minion alone has no cluster.
            undo = sls.rpartition(".")[2] in UNDO and (kind == "ca") == (sls == "ca.absent")
            used = {chunk["__sls__"] for chunk in chunks} | included(chunks)
            # A plug-in whose programs come in images has an installed.sls that only includes.
            includes = sls.endswith(".installed") and f"{sls.removesuffix('installed')}running" in used
            if undo or includes or sls in used:
                node = self.nodes(case)[kind]
                found.append((node, node.alone(sls)))
        return found

    def refused(self, name):
        """Render a highstate that a state file refuses."""
        if name == "an address that no interface has":
            node = compiled.Node(self.folder, "m1.demo", None, self.branches)
            node.grains["ip4_interfaces"] = {"eth1": ["192.0.2.1"]}
        else:
            node = compiled.Node(self.folder, "m1.demo", None, self.branches, ext_pillar=[])
        node.highstate()


def included(chunks):
    """Return files that have no states of their own but include others that have: the roles."""
    return {name for chunk in chunks for name in chunk.get("__sls_included_from__", [])}


def pillar_root(folder, cluster):
    """Make a pillar root with the repository's data and one cluster file; return it."""
    (folder / "clusters").mkdir(parents=True)
    (folder / "data").symlink_to(formula.DATA)
    (folder / "top.sls").write_text("base: {}\n")
    (folder / "clusters" / f"{cluster['name']}.sls").write_text(yaml.safe_dump({"cluster": cluster}, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    found = Rendered(tmp_path_factory.mktemp("render"))
    yield found
    slowest = sorted(found.took.items(), key=lambda item: -item[1])[:5]
    print("slowest topologies: " + ", ".join(f"{case} {seconds:.1f} s" for case, seconds in slowest))


REFUSED = {
    "a master without the ext_pillar": "did not run the ext_pillar `kaas`",
    "an address that no interface has": "is on no interface of this machine",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_highstate_is_refused(rendered, name):
    with pytest.raises((AssertionError, SaltRenderError), match=REFUSED[name]):
        rendered.refused(name)


@pytest.mark.parametrize("case", CASES)
def test_highstate_compiles(rendered, case):
    for kind, chunks in rendered.highstates(case).items():
        assert compiled.bad_calls(rendered.nodes(case)[kind], chunks) == []
        # The formula is checked before the first state of ours.
        assert chunks[0]["__id__"] == "formula-synced"


@pytest.mark.parametrize("case", TOPOLOGIES)
def test_every_artifact_of_a_node_is_installed(rendered, case):
    """What stands in a node's pillar is there for some state: on a master without etcd, etcdctl for the lock of restarts."""
    for kind, chunks in rendered.highstates(case).items():
        installed = {chunk["name"] for chunk in chunks if (chunk["state"], chunk["fun"]) == ("kaas_artifact", "installed")}
        assert installed == set(rendered.nodes(case)[kind].pillar["kaas"].get("artifacts", {})), kind


@pytest.mark.parametrize("sls", every_sls())
def test_every_file_renders_alone_where_it_belongs(rendered, sls):
    used = 0
    for case in rendered.sound():
        for node, chunks in rendered.alone(case, sls):
            assert compiled.bad_calls(node, chunks) == []
            used += 1
    assert used, f"{sls} belongs to no node of any topology"


def test_every_branch_is_taken(rendered):
    """Each outcome of each condition in each state file, on some node of some topology."""
    for name in REFUSED:
        with contextlib.suppress(AssertionError, SaltRenderError):
            rendered.refused(name)
    for case in CHOICES:
        rendered.highstates(case)
    for case in rendered.sound():
        for sls in every_sls():
            rendered.alone(case, sls)
    missed = rendered.branches.missed()
    assert [branch for branch in missed if branch not in UNREACHED] == []
    assert [branch for branch in UNREACHED if branch not in missed] == [], "listed, yet taken"


# -- the machinery fails where it should --------------------------------------------------------------------------


BROKEN = {
    "a pillar key that is not there": ("x:\n  test.nop:\n    - name: {{ pillar.kaas.clutser.name }}", "no attribute 'clutser'"),
    "an undefined variable in a condition": ("{% if nonsense %}\n{% endif %}\nx:\n  test.nop", "'nonsense' is undefined"),
    "not YAML": ("x:\n  test.nop: [", "found unexpected|expected"),
    "an id twice": ("x:\n  test.nop\nx:\n  test.nop", "conflicting ID 'x'"),
    "a key twice, deep inside": ("x:\n  test.nop:\n    - a: {b: 1, b: 2}", "conflicting ID 'b'"),
    "an id of another file": ("include: [formula.synced]\nformula-synced:\n  test.nop", "conflicting IDs|Detected conflicting"),
    "an include that is not there": ("include: [no.such]\nx:\n  test.nop", "no.such"),
    "no list of arguments": ("x:\n  test.nop:\n    a: 1", "not formed as a list"),
    "a requisite without a target": ("x:\n  test.nop:\n    - require: [{test: y}]", "Referenced state does not exist"),
    "a requisite on a file that is not included": ("x:\n  test.nop:\n    - require: [{sls: rbac.deployed}]", "Referenced state does not exist"),
    "requisites in a loop": (
        "x:\n  test.nop:\n    - require: [{test: y}]\ny:\n  test.nop:\n    - require: [{test: x}]", "Recursive requisites",
    ),
}  # fmt: skip


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Return a function that renders a state file of the given text, beside those of the formula, on a real node."""
    states = tmp_path / "states"
    states.mkdir()
    for path in STATES.iterdir():
        (states / path.name).symlink_to(path.resolve())

    def render(text):
        (states / "broken.sls").write_text(text)
        original = formula.options
        monkeypatch.setattr(
            formula, "options", lambda *args: {**original(*args), "file_roots": {"base": [str(states)]}}
        )
        taken = branches.Branches(tmp_path / "cache" / "files" / "base")
        node = compiled.Node(tmp_path, "n1.mini", None, taken)
        node.alone("rbac.deployed")
        return node, node.alone("broken"), taken

    return render


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused(broken, name):
    text, message = BROKEN[name]
    with pytest.raises(AssertionError, match=message):
        broken(text)


def test_calls_that_do_not_fit_are_found(broken):
    node, chunks, _ = broken(
        "a:\n  kaas_service.runing\nb:\n  kaas_service.dead:\n    - inputs: []\nc:\n  kaas_kernel.modules: []"
    )
    found = compiled.bad_calls(node, chunks)
    assert sorted(found) == [
        "broken: a: kaas_service.runing does not exist",
        "broken: b: kaas_service.dead takes no argument inputs",
        "broken: c: kaas_kernel.modules lacks the argument modules",
    ]


def test_branches_are_counted(broken):
    _, _, found = broken(
        "{% if true %}{% else %}{% endif %}\n"
        "{% for n in [1, 2] if n %}{% endfor %}\n"
        "{% for n in [] %}{% endfor %}\n"
        "{% macro unused() %}{% endmacro %}\n"
        "x:\n  test.nop:\n    - name: {{ 'a' if false else 'b' }}\n"
    )
    assert [branch for branch in found.missed() if branch.startswith("broken.sls")] == [
        "broken.sls:1: if is never false",
        "broken.sls:2: loop filter is never false",
        "broken.sls:3: loop is never entered",
        "broken.sls:4: macro unused is never entered",
        "broken.sls:7: conditional expression is never true",
    ]
