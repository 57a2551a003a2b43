"""`pillar/validate`: the same checks without Salt, for people and for programs; and the examples, which must all pass."""

import json
import os
import shutil
import subprocess
import sys

import clusterfiles
import formula
import pytest

PROGRAM = formula.ROOT / "pillar" / "validate"
EXAMPLES = [
    path.relative_to(formula.ROOT)
    for folder in ("clusters", "examples")
    for path in sorted((formula.ROOT / "pillar" / folder).glob("*.sls"))
]


def run(*arguments, folder=formula.ROOT):
    """Run the program; Salt cannot be imported there."""
    blocked = "import sys; sys.modules['salt'] = None; sys.argv = sys.argv[1:]; import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", blocked, str(PROGRAM), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


@pytest.fixture
def root(tmp_path):
    """Return a pillar root with good.sls, its neighbour, and a file with mistakes."""
    folder = tmp_path / "clusters"
    folder.mkdir()
    for name in ("good.sls", "neighbour.sls"):
        shutil.copy(clusterfiles.CORPUS / name, folder / name)
    text = (folder / "good.sls").read_text(encoding="utf-8")
    # a draft of another cluster: everything of good.sls is claimed twice
    (folder / "copy.sls").write_text(text.replace("name: good", "name: copy"), encoding="utf-8")
    (folder / "even.sls").write_text(
        "cluster:\n  name: even\n  kubernetes: '1.37'\n  nodes:\n    n1: {address: 10.9.0.11, roles: [etcd, master]}\n"
        "    n2: {address: 10.9.0.12, roles: [etcd, worker]}\n  network:\n    nodes: 10.9.0.0/24\n    pods: 10.96.0.0/16\n",
        encoding="utf-8",
    )
    return tmp_path


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_the_clusters_and_examples_of_the_repository_are_valid(path):
    """Without errors, and without warnings: what an example wants it acknowledges."""
    result = run(path)
    assert (result.stdout, result.stderr, result.returncode) == (f"{path}: valid\n", "", 0)


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_editors_are_told_the_schema(path):
    assert "# yaml-language-server: $schema=../data/cluster.schema.json\n" in (formula.ROOT / path).read_text(encoding="utf-8")


def test_all_clusters_by_default():
    names = [path.stem for path in EXAMPLES if path.parent.name == "clusters"]
    assert run().stdout.splitlines() == [f"pillar/clusters/{name}.sls: valid" for name in names]


def test_findings_name_file_line_path_and_check(root):
    result = run("--root", root, "even", folder=root)
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        "clusters/even.sls:4: error: nodes 2 nodes have the role etcd (n1, n2): use an odd number (etcd-is-odd)",
        "clusters/even.sls:7: error: network.services 10.96.0.0/16 overlaps network.pods 10.96.0.0/16: choose disjoint networks (networks-do-not-overlap)",
        "clusters/even.sls:5: warning: nodes.n1 is the only node with the role master: use 3 to survive the loss of one (control-plane-is-redundant)",
    ]


def test_warnings_alone_are_no_failure(root):
    text = (root / "clusters" / "even.sls").read_text(encoding="utf-8")
    (root / "clusters" / "even.sls").write_text(
        text.replace("  name: even\n", "  name: even\n  acknowledge: [etcd-is-odd]\n").replace("    pods: 10.96.0.0/16\n", ""), encoding="utf-8"
    )
    result = run("--root", root, "even", folder=root)
    assert result.returncode == 0
    assert [line.split(": ")[1] for line in result.stdout.splitlines()] == ["warning", "warning"]


def test_for_programs(root):
    result = run("--json", "--root", root, "even", "neighbour", folder=root)
    even, neighbour = json.loads(result.stdout)["files"]
    assert (even["file"], neighbour["file"]) == ("clusters/even.sls", "clusters/neighbour.sls")
    assert even["findings"][0] == {
        "path": "network.services",
        "message": "10.96.0.0/16 overlaps network.pods 10.96.0.0/16: choose disjoint networks",
        "check": "networks-do-not-overlap",
        "severity": "error",
        "line": 7,
    }
    assert result.returncode == 1


def test_clusters_are_compared_with_each_other(root):
    result = run("--root", root, folder=root)
    checks = {line.rpartition(" (")[2] for line in result.stdout.splitlines() if line.startswith("clusters/copy.sls")}
    assert checks == {
        "addresses-are-unique-across-clusters)",
        "router-ids-are-unique)",
        "minion-ids-are-unique)",
        "pools-are-unique-across-clusters)",
    }
    assert any(line.startswith("clusters/good.sls") and "of the cluster copy" in line for line in result.stdout.splitlines())
    assert "clusters/neighbour.sls: valid" in result.stdout


def test_a_draft_is_not_compared_with_what_it_replaces(root):
    draft = root / "draft.sls"
    shutil.copy(root / "clusters" / "good.sls", draft)
    (root / "clusters" / "copy.sls").unlink()
    assert run("--root", root, draft, folder=root).stdout == "draft.sls: valid\n"


@pytest.mark.parametrize("arguments", [["nothing"], ["README.md"], ["--wrong"], ["missing.sls"]], ids=str)
def test_wrong_use(arguments):
    result = run(*arguments)
    assert result.returncode == 2 and result.stderr and "Traceback" not in result.stderr


def test_without_its_libraries_it_says_so():
    blocked = "import sys; sys.modules['jsonschema'] = None; import runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", blocked, str(PROGRAM)], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "run this with a Python that has PyYAML and jsonschema" in result.stderr


def test_make_validate():
    """The target takes the cluster's name and the program's exit code."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    for name, code in (("mini", 0), ("no-such-cluster", 2)):
        result = subprocess.run(
            ["make", "-s", "validate", f"CLUSTER={name}"], cwd=formula.ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert bool(result.returncode) is bool(code), result.stderr
