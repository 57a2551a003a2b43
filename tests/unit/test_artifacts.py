"""The artifact builder's pure parts: what is built again, what counts as finished, what the index says, what is pinned."""
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "artifacts"
sys.path.insert(0, str(ARTIFACTS))

from kaas_artifacts import add, cli, debs, generate, gobuild, goenv, images, index, oci, pin, recipes, registry, stamps  # noqa: E402
from kaas_artifacts.errors import BuildError  # noqa: E402

TABLE = recipes.load_versions(ROOT / "pillar" / "data" / "versions.yaml")
RECIPES = recipes.load_recipes(ARTIFACTS / "recipes.yaml")
EVERY = [(minor, recipe) for minor in TABLE for recipe in RECIPES.values()]
PINNED = [case for case in EVERY if case[1].module]
PROGRAMS = [case for case in PINNED if case[1].packages]


def ids(cases):
    return [f"{recipe.name}-{minor}" for minor, recipe in cases]


def go_mod(minor, recipe):
    return (recipes.folder_of(recipe, minor, ARTIFACTS, ROOT) / "go.mod").read_text(encoding="utf-8")


# --- the committed data -------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("minor", "recipe"), PINNED, ids=ids(PINNED))
def test_go_mod_pins_the_version_of_the_table(minor, recipe):
    assert recipes.pinned_version(go_mod(minor, recipe), recipe.module) == TABLE[minor][recipe.artifact]


@pytest.mark.parametrize(("minor", "recipe"), PINNED, ids=ids(PINNED))
def test_go_sum_has_the_module(minor, recipe):
    sums = recipes.folder_of(recipe, minor, ARTIFACTS, ROOT) / "go.sum"
    assert f"{recipe.module} v{TABLE[minor][recipe.artifact]} h1:" in sums.read_text(encoding="utf-8")


@pytest.mark.parametrize(("minor", "recipe"), PROGRAMS, ids=ids(PROGRAMS))
def test_go_mod_names_each_package_as_a_tool(minor, recipe):
    assert set(recipe.packages.values()) <= set(recipes.tools_of(go_mod(minor, recipe)))


@pytest.mark.parametrize(("minor", "recipe"), EVERY, ids=ids(EVERY))
def test_recipes_refer_to_folders_that_exist(minor, recipe):
    assert (recipes.folder_of(recipe, minor, ARTIFACTS, ROOT) / "go.mod").is_file()


@pytest.mark.parametrize("minor", TABLE)
def test_staging_modules_have_the_version_of_kubernetes(minor):
    text = go_mod(minor, RECIPES["kubernetes"])
    replaced = re.findall(r"^\s*(k8s\.io/\S+) => (k8s\.io/\S+) (\S+)$", text, re.M)
    assert len(replaced) > 20
    assert {version for _, _, version in replaced} == {"v0." + TABLE[minor]["kubernetes"].split(".", 1)[1]}
    assert all(old == new for old, new, _ in replaced)


def test_every_folder_is_used():
    used = {recipes.folder_of(recipe, minor, ARTIFACTS, ROOT) for minor, recipe in EVERY}
    assert {path.parent for path in ARTIFACTS.glob("*/go.mod")} <= used


def test_no_output_is_made_twice():
    made = [(recipe.artifact, file) for recipe in RECIPES.values() for file in recipe.outputs]
    assert len(made) == len(set(made))


@pytest.mark.parametrize("minor", TABLE)
def test_images_use_programs_that_are_built(minor):
    pictures = recipes.load_images(ARTIFACTS / "images.yaml", TABLE[minor])
    built = {f"{recipe.artifact}/{file}" for recipe in RECIPES.values() for file in recipe.outputs}
    for picture in pictures.values():
        wanted = {s.removeprefix("artifact:") for s in picture.files.values() if s.startswith("artifact:")}
        assert wanted <= built, picture.name
    assert {picture.ref for picture in pictures.values()} >= {
        f"registry.k8s.io/pause:{TABLE[minor]['pause']}", "registry.kaas.local/demo:1", "registry.kaas.local/demo:2"}


def test_served_registry_is_read_only():
    settings = recipes.read_yaml(ARTIFACTS / "registry.yml")
    assert settings["storage"]["maintenance"]["readonly"]["enabled"] is True


# --- versions and recipes -----------------------------------------------------------------------------------------

@pytest.mark.parametrize(("text", "module", "version"), [
    ("require example.org/a v1.2.3\n", "example.org/a", "1.2.3"),
    ("require (\n\texample.org/a/v3 v3.0.1 // indirect\n)\n", "example.org/a/v3", "3.0.1"),
    ("require (\n\texample.org/ab v1.0.0\n)\n", "example.org/a", None),
    ("replace example.org/a => example.org/a v9.9.9\n", "example.org/a", None),
], ids=["line", "block", "longer name", "replace alone"])
def test_pinned_version(text, module, version):
    assert recipes.pinned_version(text, module) == version


@pytest.mark.parametrize(("text", "tools"), [
    ("tool example.org/a\n", ["example.org/a"]),
    ("tool (\n\texample.org/a\n\texample.org/b\n)\n", ["example.org/a", "example.org/b"]),
    ("module tool\n", []),
])
def test_tools_of(text, tools):
    assert recipes.tools_of(text) == tools


def table(*minors):
    return {minor: {"kubernetes": f"{minor}.3"} for minor in minors}


@pytest.mark.parametrize(("wanted", "minor"), [("1.36", "1.36"), ("1.36.3", "1.36"), ("1.100", "1.100")])
def test_pick_minor(wanted, minor):
    assert recipes.pick_minor(table("1.100", "1.36"), wanted) == minor


@pytest.mark.parametrize("wanted", ["1.3", "1.36.4", "", "latest"])
def test_pick_minor_names_what_there_is(wanted):
    with pytest.raises(BuildError, match=r"1\.36 \(1\.36\.3\)"):
        recipes.pick_minor(table("1.36"), wanted)


def test_default_is_the_oldest_minor_by_number():
    assert recipes.default_minor(table("1.100", "1.9", "1.36")) == "1.9"


@pytest.mark.parametrize("data", [
    "a: {packages: {x: y}}", "a: {module: m}", "a: {packages: {x: y}, module: m, ldflag: []}",
    "a: {packages: {x: y}, module: m, source: s}", "a: [",
    "a: {module: m, generate: {f: {}}}", "a: {module: m, generate: {f: {web: [x]}}}",
    "a: {module: m, generate: {f: {crds: [x], files: [y]}}}",
], ids=["neither module nor source", "no packages", "unknown key", "both", "not YAML", "no source of a file",
        "unknown source of a file", "two sources of a file"])
def test_bad_recipes_are_refused(tmp_path, data):
    (tmp_path / "recipes.yaml").write_text(data)
    with pytest.raises(BuildError, match=r"recipes\.yaml"):
        recipes.load_recipes(tmp_path / "recipes.yaml")


def test_a_minor_may_have_a_folder_of_its_own(tmp_path):
    for name in ("etcd", "etcd-1.37"):
        (tmp_path / name).mkdir()
    recipe = recipes.Recipe("etcd", {"etcd": "p"}, module="m", artifact="etcd")
    assert recipes.folder_of(recipe, "1.36", tmp_path, tmp_path).name == "etcd"
    assert recipes.folder_of(recipe, "1.37", tmp_path, tmp_path).name == "etcd-1.37"


def test_equal_versions_of_two_minors_are_built_once():
    units = recipes.units_for({"runc": RECIPES["runc"]}, {m: {"runc": "1.5.2"} for m in ("1.36", "1.37")},
                              ["1.36", "1.37"], ARTIFACTS, ROOT)
    assert [unit.id for unit in units] == ["runc-1.5.2"]


def test_ldflags_tell_the_version_and_no_date_or_path():
    unit = recipes.Unit(RECIPES["kubernetes"], "1.36.3", ARTIFACTS)
    flags = unit.ldflags()
    assert flags.startswith("-s -w ")
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert f"-X {package}.gitVersion=v1.36.3 -X {package}.gitMajor=1 -X {package}.gitMinor=36" in flags
    every = " ".join(recipes.Unit(recipe, "1.2.3", ARTIFACTS).ldflags() for recipe in RECIPES.values())
    assert "{" not in every and "buildDate" not in every and str(ROOT) not in every


# --- the Go environment -------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("goproxy", "kept"), [
    ("https://a,direct", "https://a"),
    ("https://a|direct", "https://a"),
    ("direct,https://a", "https://a"),
    ("https://a,direct,https://b", "https://a,https://b"),
    ("https://a|https://b,direct", "https://a|https://b"),
    ("https://a,direct|https://b", "https://a|https://b"),
    (" https://a , direct ", "https://a"),
    ("file:///mirror,off", "file:///mirror,off"),
    ("off", "off"),
    ("https://direct.example/x", "https://direct.example/x"),
])
def test_module_proxies(goproxy, kept):
    assert goenv.module_proxies(goproxy) == kept


@pytest.mark.parametrize("goproxy", ["direct", "", ",", "direct,direct"])
def test_no_proxy_is_an_error_with_the_fix(goproxy):
    with pytest.raises(BuildError, match="go env -w GOPROXY"):
        goenv.module_proxies(goproxy)


def test_go_environment_is_the_projects_own():
    base = {"HOME": "/h", "CGO_CFLAGS": "-march=native", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "auto"}
    env = goenv.go_environment(base, "https://a,direct")
    assert "CGO_CFLAGS" not in env
    assert env["GOFLAGS"].startswith("-mod=readonly") and "-trimpath" in env["GOFLAGS"]
    assert (env["HOME"], env["GOTOOLCHAIN"], env["GOWORK"], env["CGO_ENABLED"], env["GOPROXY"]) == (
        "/h", "local", "off", "0", "https://a")
    assert goenv.go_environment(base, "https://a", cgo=True)["CGO_ENABLED"] == "1"


@pytest.mark.parametrize(("package", "name"), [
    ("go.etcd.io/etcd/server/v3", "server"), ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
    ("github.com/opencontainers/runc", "runc"), ("example.org/x/v10", "x"), ("example.org/x/v1", "v1"),
    ("example.org/x/cmd/v2tool", "v2tool"),
])
def test_executable_name(package, name):
    assert gobuild.executable_name(package) == name


# --- the build key ------------------------------------------------------------------------------------------------

@pytest.fixture
def unit(tmp_path, monkeypatch):
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "go.mod").write_text("module m\n\nrequire example.org/a v1.0.0\n")
    (folder / "go.sum").write_text("sums\n")
    facts = {"version": "go1.26.8", "os": "linux", "arch": "amd64", "level": "v1", "proxy": "https://a"}
    monkeypatch.setattr(goenv, "go_facts", lambda: facts)
    monkeypatch.setattr(goenv, "c_facts", lambda libraries: {"cc": "12.2.0"})
    recipe = recipes.Recipe("a", {"a": "example.org/a"}, module="example.org/a", artifact="a",
                            ldflags=("-X v={version}",))
    return recipes.Unit(recipe, "1.0.0", folder), facts


def key(unit):
    return stamps.key_of(gobuild.build_inputs(unit))


def replaced(unit, **changes):
    fields = {**unit.recipe.__dict__, **changes}
    return recipes.Unit(recipes.Recipe(**fields), unit.version, unit.folder)


@pytest.mark.parametrize("change", ["go.mod", "go.sum", "go", "level", "tags", "ldflags", "packages", "cgo", "version"])
def test_each_input_changes_the_key(unit, change):
    unit, facts = unit
    before = key(unit)
    assert key(unit) == before
    if change.startswith("go."):
        (unit.folder / change).write_text("other, longer than before\n")
    elif change in ("go", "level"):
        facts["version" if change == "go" else change] = "other"
    elif change == "version":
        unit = recipes.Unit(unit.recipe, "1.0.1", unit.folder)
    else:
        unit = replaced(unit, **{"tags": {"tags": ("t",)}, "ldflags": {"ldflags": ()}, "cgo": {"cgo": True},
                                 "packages": {"packages": {"b": "example.org/a"}}}[change])
    assert key(unit) != before


def test_code_of_our_own_counts_but_not_its_tests(unit):
    unit, _ = unit
    unit = replaced(unit, module=None, source="src")
    (unit.folder / "main.go").write_text("package main\n")
    before = key(unit)
    (unit.folder / "main_test.go").write_text("package main\n")
    assert key(unit) == before
    (unit.folder / "main.go").write_text("package main // changed\n")
    assert key(unit) != before


def test_missing_go_sum_names_the_fix(unit):
    unit, _ = unit
    (unit.folder / "go.sum").unlink()
    with pytest.raises(BuildError, match="artifacts/pin a"):
        gobuild.build_inputs(unit)


def test_a_version_other_than_the_tables_is_not_built(unit):
    unit, _ = unit
    gobuild.check_pin(unit)
    with pytest.raises(BuildError, match=r"at 1\.0\.0.*says 1\.0\.1"):
        gobuild.check_pin(recipes.Unit(unit.recipe, "1.0.1", unit.folder))


# --- a build, with a stand-in for `go` ----------------------------------------------------------------------------

class FakeGo(gobuild.Children):
    """Writes what `go build` would, or fails half-way through a file."""

    def __init__(self, content=b"program", status=0, output=""):
        super().__init__()
        self.content, self.status, self.output, self.calls = content, status, output, 0

    def run(self, command, *, cwd, env, log):
        self.calls += 1
        (Path(command[command.index("-o") + 1]) / "a").write_bytes(self.content)
        log.write_text(self.output)
        return self.status


def test_build_writes_program_and_stamp(unit, tmp_path):
    unit, _ = unit
    out, state = tmp_path / "out", tmp_path / "out" / ".state"
    stamp = gobuild.build(unit, out, state, FakeGo(), 2)
    made = out / "a" / "1.0.0" / "linux-amd64" / "a"
    assert made.read_bytes() == b"program" and made.stat().st_mode & 0o777 == 0o755
    assert stamps.read(stamps.path_of(state, "a-1.0.0")) == stamp
    assert cli.is_current(unit, out, state)
    assert list((state / "tmp").iterdir()) == []


def test_failed_build_leaves_the_finished_one_alone(unit, tmp_path):
    unit, _ = unit
    out, state = tmp_path / "out", tmp_path / "out" / ".state"
    gobuild.build(unit, out, state, FakeGo(), 2)
    with pytest.raises(BuildError, match="undefined: x"):
        gobuild.build(unit, out, state, FakeGo(content=b"pro", status=1, output="a.go:1: undefined: x"), 2)
    assert (out / "a/1.0.0/linux-amd64/a").read_bytes() == b"program"
    assert cli.is_current(unit, out, state)


@pytest.mark.parametrize(("output", "calls"), [("dial tcp: i/o timeout", 3), ("syntax error", 1)])
def test_only_network_faults_are_tried_again(unit, tmp_path, monkeypatch, output, calls):
    unit, _ = unit
    monkeypatch.setattr(gobuild.time, "sleep", lambda seconds: None)
    fake = FakeGo(status=1, output=output)
    with pytest.raises(BuildError):
        gobuild.build(unit, tmp_path / "out", tmp_path / "out/.state", fake, 2)
    assert fake.calls == calls


def test_stop_ends_what_runs_and_what_that_started(tmp_path):
    children, status = gobuild.Children(), []
    command = ["sh", "-c", "sleep 60 & echo $! > child; wait"]
    thread = threading.Thread(target=lambda: status.append(
        children.run(command, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, log=tmp_path / "log")))
    thread.start()
    end = time.monotonic() + 10
    while not ((tmp_path / "child").is_file() and (tmp_path / "child").read_text().strip()) and time.monotonic() < end:
        time.sleep(0.005)
    children.stop()
    thread.join(10)
    assert status and status[0] < 0
    child = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")

    def lives():
        try:
            return child.read_text().split()[2] != "Z"
        except OSError:
            return False

    while lives() and time.monotonic() < end:
        time.sleep(0.005)
    assert not lives()
    with pytest.raises(BuildError, match="interrupted"):
        children.run(command, cwd=tmp_path, env={}, log=tmp_path / "log")


def test_sigterm_ends_the_builder_though_sigint_is_ignored(tmp_path):
    """A shell's background job inherits SIGINT as ignored; SIGTERM must not depend on it."""
    code = ("import os, signal, sys; sys.path.insert(0, sys.argv[1]); from kaas_artifacts import cli\n"
            "cli.run = lambda args: os.kill(os.getpid(), signal.SIGTERM) or signal.pause()\n"
            "sys.exit(cli.main([]))")
    done = subprocess.run([sys.executable, "-c", code, str(ARTIFACTS)], timeout=20, capture_output=True,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert done.returncode == 130, done.stderr


# --- generated files ----------------------------------------------------------------------------------------------

def crd(*versions, **spec):
    """A CRD with versions (name, served, stored, schema)."""
    return {"kind": "CustomResourceDefinition", "spec": {**spec, "versions": [
        {"name": name, "served": served, "storage": stored, "schema": schema}
        for name, served, stored, schema in versions]}}


def served(found):
    return [version["name"] for version in found["spec"]["versions"] if version["served"]]


@pytest.mark.parametrize(("texts", "whole"), [
    ([], ""), (["a: 1"], "---\na: 1\n"), (["---\na: 1\n\n", "b: 2\n"], "---\na: 1\n---\nb: 2\n"),
])
def test_joined_documents(texts, whole):
    assert generate.joined(texts) == whole


def generating(unit, **source):
    ((kind, names),) = source.items()
    return replaced(unit, packages={}, generate={"x.yaml": recipes.Generated(kind, tuple(names))})


class FakeGenerator(gobuild.Children):
    """Writes what controller-gen would: a file for each CRD."""

    def __init__(self, found):
        super().__init__()
        self.found, self.command = found, None

    def run(self, command, *, cwd, env, log):
        self.command = command
        folder = Path(command[-1].removeprefix("output:dir="))
        for number, one in enumerate(self.found):
            (folder / f"{number}.yaml").write_text("---\n" + json.dumps(one))
        return 0


@pytest.fixture
def generator(unit):
    """A unit beside the pins of the generator."""
    unit, _ = unit
    folder = unit.folder.parent / generate.GENERATOR_FOLDER
    folder.mkdir()
    for name in ("go.mod", "go.sum"):
        (folder / name).write_text(name)
    return generating(unit, crds=["example.org/a/api/..."]), folder


def test_crds_are_generated_by_the_pinned_generator(generator, tmp_path):
    unit, folder = generator
    out = tmp_path / "out"
    fake = FakeGenerator([crd(("v1", True, False, "a"), ("v2", True, True, "b")), crd(("v1", True, True, "a"))])
    stamp = gobuild.build(unit, out, out / ".state", fake, 2)
    assert fake.command[:3] == ["go", "tool", f"-modfile={folder}/go.mod"]
    assert "paths=example.org/a/api/..." in fake.command
    made = out / "a/1.0.0/linux-amd64/x.yaml"
    assert [served(one) for one in yaml.safe_load_all(made.read_text())] == [["v1", "v2"], ["v1"]]
    assert made.stat().st_mode & 0o777 == 0o644
    assert list(stamp["files"]) == ["a/1.0.0/linux-amd64/x.yaml"] and cli.is_current(unit, out, out / ".state")
    (folder / "go.sum").write_text("another generator")
    assert not cli.is_current(unit, out, out / ".state")


def test_nothing_generated_is_an_error(generator, tmp_path):
    unit, _ = generator
    with pytest.raises(BuildError, match=r"x\.yaml: example\.org/a/api/\.\.\. gives nothing"):
        gobuild.build(unit, tmp_path / "out", tmp_path / "out/.state", FakeGenerator([]), 2)


def test_files_of_a_module_are_joined_in_order(unit, tmp_path, monkeypatch):
    unit, _ = unit
    unit = generating(unit, files=["crd/*.yaml"])
    (tmp_path / "module/crd").mkdir(parents=True)
    for name in ("b", "a"):
        (tmp_path / f"module/crd/{name}.yaml").write_text(f"name: {name}\n")
    monkeypatch.setattr(gobuild, "output", lambda command, folder, env: json.dumps({"Dir": str(tmp_path / "module")}))
    gobuild.build(unit, tmp_path / "out", tmp_path / "out/.state", gobuild.Children(), 2)
    made = tmp_path / "out/a/1.0.0/linux-amd64/x.yaml"
    assert made.read_text() == "---\nname: a\n---\nname: b\n"


def test_generators_are_no_artifacts():
    units = recipes.units_for(RECIPES, TABLE, list(TABLE), ARTIFACTS, ROOT)
    assert "controller-tools" not in {unit.recipe.name for unit in units}
    assert all(not recipe.generate for recipe in RECIPES.values() if recipe.generator)


# --- stamps -------------------------------------------------------------------------------------------------------

@pytest.fixture
def finished(tmp_path):
    """A repository with one finished program; (stamp, out, path of the program)."""
    path = tmp_path / "a" / "1" / "linux-amd64" / "a"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"finished program")
    files = {"a/1/linux-amd64/a": stamps.describe(path)}
    return {"key": "k", "name": "a", "version": "1", "files": files}, tmp_path, path


def spoil(path, how):
    data = path.read_bytes()
    if how == "cut":
        path.write_bytes(data[:-1])
    elif how == "other content, same size":
        path.write_bytes(b"x" * len(data))
        os.utime(path, ns=(0, 0))           # a file system's clock may be too coarse to tell the two writes apart
    elif how == "longer":
        path.write_bytes(data + b"x")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "gone":
        path.unlink()
    elif how == "a folder":
        path.unlink()
        path.mkdir()


def test_whole_file_with_its_stamp_is_current(finished):
    stamp, out, _ = finished
    assert stamps.is_current(stamp, "k", out)
    assert not stamps.is_current(stamp, "other", out)
    assert not stamps.is_current(None, "k", out)
    assert not stamps.is_current({**stamp, "files": {}}, "k", out)


@pytest.mark.parametrize("how", ["cut", "other content, same size", "longer", "empty", "gone", "a folder"])
def test_spoilt_file_is_never_taken_for_finished(finished, how):
    stamp, out, path = finished
    assert stamps.is_current(stamp, "k", out)        # read once: the memory of the sum must not hide the change
    spoil(path, how)
    assert not stamps.is_current(stamp, "k", out)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"key": "k"}', '{"key": "k", "files": []}'])
def test_half_written_stamp_does_not_count(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    assert stamps.read(tmp_path / "s.json") is None


def test_write_atomic_replaces_and_leaves_nothing_behind(tmp_path):
    stamps.write_atomic(tmp_path / "x" / "f", "one")
    stamps.write_atomic(tmp_path / "x" / "f", "two")
    assert [(p.name, p.read_text()) for p in (tmp_path / "x").iterdir()] == [("f", "two")]


# --- the index ----------------------------------------------------------------------------------------------------

def store(state, name, stamp):
    stamps.write_atomic(stamps.path_of(state, name), stamps.dump(stamp))


def test_index_and_checksums(finished):
    stamp, out, path = finished
    state = out / ".state"
    store(state, "a-1", stamp)
    store(state, "image", {"key": "k", "image": "registry.example/x:1", "digest": "sha256:ab", "files": stamp["files"]})
    made = index.write(out, state)
    digest = hashlib.sha256(b"finished program").hexdigest()
    assert made == json.loads((out / "index.json").read_text()) == {
        "artifacts": {"a": {"1": {"linux-amd64": {"a": {"sha256": digest, "size": 16}}}}},
        "images": {"registry.example/x:1": {"digest": "sha256:ab"}},
    }
    assert (out / "SHA256SUMS").read_text() == f"{digest}  a/1/linux-amd64/a\n"
    before = (out / "index.json").stat().st_mtime_ns
    index.write(out, state)
    assert (out / "index.json").stat().st_mtime_ns == before
    spoil(path, "cut")
    assert index.write(out, state) == {"artifacts": {}, "images": {}}
    assert (out / "SHA256SUMS").read_text() == ""


# --- added files --------------------------------------------------------------------------------------------------

@pytest.fixture
def chart(tmp_path):
    """A downloaded file and its sum; the repository is `out` beside it."""
    path = tmp_path / "chart.tgz"
    path.write_bytes(b"a chart")
    return path, hashlib.sha256(b"a chart").hexdigest()


def files_in(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and ".state" not in path.parts)


def test_an_added_file_is_in_the_index_and_stays_there(chart, tmp_path):
    path, digest = chart
    out = tmp_path / "out"
    assert add.main(["calico", "3.31.7", str(path), "--sha256", digest.upper(), "--platform", "linux-amd64",
                     "--name", "operator.tgz", "--out", str(out)]) == 0
    facts = {"operator.tgz": {"sha256": digest, "size": 7}}
    assert json.loads((out / "index.json").read_text())["artifacts"] == {"calico": {"3.31.7": {"linux-amd64": facts}}}
    assert f"{digest}  calico/3.31.7/linux-amd64/operator.tgz" in (out / "SHA256SUMS").read_text()
    assert index.write(out, out / ".state")["artifacts"]["calico"]      # as a later build does
    assert (out / "calico/3.31.7/linux-amd64/operator.tgz").stat().st_mode & 0o777 == 0o644
    assert list((out / ".state/tmp").iterdir()) == []


@pytest.mark.parametrize(("change", "words"), [
    ({"sha256": "0" * 64}, "wanted was 000"), ({"sha256": "abc"}, "no sha256"), ({"component": "../x"}, "can't be a part"),
    ({"version": ""}, "can't be a part"), ({"name": ".hidden"}, "can't be a part"), ({"name": "a/b"}, "can't be a part"),
    ({"source": Path("/nonexistent/chart")}, "No such file"),
], ids=["another sum", "no sum", "upwards", "empty", "hidden", "folder", "no file"])
def test_what_is_not_added_leaves_nothing(chart, tmp_path, change, words):
    out = tmp_path / "out"
    wanted = {"component": "calico", "version": "1", "source": chart[0], "where": "linux-amd64", **change}
    with pytest.raises(BuildError, match=words):
        add.add(wanted.pop("component"), wanted.pop("version"), wanted.pop("source"), out=out, **wanted)
    assert files_in(out) == []


def test_another_content_needs_a_word(chart, tmp_path):
    path, digest = chart
    out = tmp_path / "out"
    assert add.add("a", "1", path, out=out, where="linux-amd64") == digest
    assert add.add("a", "1", path, out=out, where="linux-amd64") == digest
    path.write_bytes(b"another chart")
    with pytest.raises(BuildError, match=rf"is there with sha256 {digest}"):
        add.add("a", "1", path, out=out, where="linux-amd64")
    assert (out / "a/1/linux-amd64/chart.tgz").read_bytes() == b"a chart"
    add.add("a", "1", path, out=out, where="linux-amd64", replace=True)
    assert (out / "a/1/linux-amd64/chart.tgz").read_bytes() == b"another chart"


def test_a_built_program_is_not_replaced_by_an_added_file(finished, chart):
    stamp, out, path = finished
    store(out / ".state", "a-1", stamp)
    with pytest.raises(BuildError, match="made by artifacts/build"):
        add.add("a", "1", chart[0], out=out, name="a", where="linux-amd64", replace=True)
    assert path.read_bytes() == b"finished program"


# --- images -------------------------------------------------------------------------------------------------------

def picture(**changes):
    fields = {"name": "x", "component": "x", "ref": "registry.example/group/x:v1", "files": {"/bin/x": "artifact:x/x"},
              "dirs": {"/tmp": "1777"}, "entrypoint": ("/bin/x",), "env": {"VERSION": "1"}, "user": "65532:65532"}
    return recipes.Image(**{**fields, **changes})


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
    return path


def test_layer_is_the_same_whenever_it_is_made(program):
    first = oci.layer({"/usr/bin/x": [program], "/etc/y": [program, program]}, {"/tmp": "1777"})
    program.touch()
    assert oci.layer({"/etc/y": [program, program], "/usr/bin/x": [program]}, {"/tmp": "1777"}) == first
    with tarfile.open(fileobj=BytesIO(first)) as archive:
        members = archive.getmembers()
        assert [(m.name, oct(m.mode)) for m in members] == [
            ("etc", "0o755"), ("etc/y", "0o644"), ("tmp", "0o1777"), ("usr", "0o755"), ("usr/bin", "0o755"),
            ("usr/bin/x", "0o755")]
        assert {(m.mtime, m.uid, m.gid) for m in members} == {(0, 0, 0)}
        assert archive.extractfile("etc/y").read() == b"\x7fELF\x7fELF"


def test_layout_is_a_whole_image(program, tmp_path):
    digest = oci.write_layout(picture(), {"/bin/x": [program]}, "amd64", tmp_path / "layout")

    def blob(name):
        data = (tmp_path / "layout" / "blobs" / "sha256" / name.removeprefix("sha256:")).read_bytes()
        assert "sha256:" + hashlib.sha256(data).hexdigest() == name
        return data

    entry = json.loads((tmp_path / "layout" / "index.json").read_text())["manifests"]
    assert [e["digest"] for e in entry] == [digest]
    manifest = json.loads(blob(digest))
    config = json.loads(blob(manifest["config"]["digest"]))
    assert (config["os"], config["architecture"]) == ("linux", "amd64")     # containerd refuses an image without
    assert config["config"]["Entrypoint"] == ["/bin/x"] and config["config"]["User"] == "65532:65532"
    assert "VERSION=1" in config["config"]["Env"]
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    assert len(blob(manifest["layers"][0]["digest"])) == manifest["layers"][0]["size"]


def test_reference_parts():
    assert (picture().repository, picture().tag) == ("group/x", "v1")
    assert re.fullmatch(r"[A-Za-z0-9._-]+", picture().id)


@pytest.mark.parametrize("changes", [{"env": {"VERSION": "2"}}, {"user": ""}, {"entrypoint": ()}, {"ref": "r.example/x:2"}])
def test_image_key_follows_the_recipe(program, changes):
    files = {"/bin/x": [program]}
    assert images.key_of(picture(**changes), files, "amd64") != images.key_of(picture(), files, "amd64")


def test_image_key_follows_the_content(program):
    before = images.key_of(picture(), {"/bin/x": [program]}, "amd64")
    program.write_bytes(b"other content")
    assert images.key_of(picture(), {"/bin/x": [program]}, "amd64") != before


def test_sources_of_an_image(program, tmp_path, monkeypatch):
    (tmp_path / "deb/certs").mkdir(parents=True)
    for name in ("b.crt", "a.crt"):
        (tmp_path / "deb/certs" / name).write_text(name)
    monkeypatch.setattr(debs, "unpacked", lambda package, state: tmp_path / "deb")
    found = oci.contents(picture(files={"/x": "artifact:x/x", "/ca": "deb-concat:certs/certs/*.crt"}),
                         {"x/x": program}, tmp_path)
    assert found["/x"] == [program]
    assert [path.name for path in found["/ca"]] == ["a.crt", "b.crt"]


# --- whole Debian packages in an image ----------------------------------------------------------------------------

@pytest.fixture
def packages(tmp_path):
    """Unpacked packages: a server of two libraries, one of which needs a third; (state, put)."""
    def put(name, depends, *files, version="1:2.0-1", **links):
        base = tmp_path / "debs" / name
        for file in files:
            (base / file).parent.mkdir(parents=True, exist_ok=True)
            (base / file).write_text(name)
        for link, target in links.items():
            (base / "usr/bin").mkdir(parents=True, exist_ok=True)
            (base / "usr/bin" / link).symlink_to(target)
        debs.control_of(name, tmp_path).write_text(f"Package: {name}\nVersion: {version}\nDepends: {depends}\n")

    put("server", "libone (>= 2), adduser, libtwo1:any | libtwo0", "usr/bin/server", "usr/share/doc/server/copyright",
        "etc/init.d/server", "lib/systemd/system/server.service", "etc/server.conf", alias="server")
    put("libone", "libthree", "lib/x86_64-linux-gnu/libone.so")
    put("libtwo1", "", "usr/lib/x86_64-linux-gnu/libtwo.so")
    put("libthree", "libone", "lib64/ld.so")
    return tmp_path, put


def test_libraries_are_followed_all_the_way_and_nothing_else(packages):
    state, _ = packages
    assert debs.with_libraries(["server"], state) == dict.fromkeys(["libone", "libthree", "libtwo1", "server"], "1:2.0-1")


@pytest.fixture
def debian(tmp_path, monkeypatch):
    """apt-get and dpkg-deb as scripts: `calls` is what apt-get was asked for, package `gone` does not exist."""
    tools, calls = tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    (tools / "apt-get").write_text(f"""#!/bin/sh
for word; do case $word in -*|download|APT*) ;; gone) echo 'no such package' >&2; exit 100;;
*) echo "$word" > "${{word}}_1_amd64.deb"; echo "$word" >> {calls}.now;; esac; done
tr '\\n' ' ' < {calls}.now >> {calls}; echo >> {calls}; rm {calls}.now""")
    (tools / "dpkg-deb").write_text("""#!/bin/sh
name=$(cat "$2"); case $1 in -x) mkdir -p "$3/usr/bin"; echo "$name" > "$3/usr/bin/$name";;
*) printf 'Package: %s\\nVersion: 1\\n' "$name"; [ "$name" = server ] && echo 'Depends: libone, libtwo';; esac; exit 0""")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return tmp_path / "state", calls


def test_packages_are_fetched_by_one_call_for_each_step_and_once(debian):
    state, calls = debian
    assert list(debs.with_libraries(["server", "tool"], state)) == ["libone", "libtwo", "server", "tool"]
    assert calls.read_text().split("\n") == ["server tool ", "libone libtwo ", ""]
    assert (state / "debs/server/usr/bin/server").read_text() == "server\n"
    debs.with_libraries(["server", "tool"], state)
    assert len(calls.read_text().splitlines()) == 2
    assert sorted(path.name for path in (state / "debs").glob(".fetch*")) == []


def test_a_package_that_debian_does_not_have_is_told(debian):
    state, _ = debian
    with pytest.raises(BuildError, match="apt-get download gone tool failed.*no such package"):
        debs.with_libraries(["tool", "gone"], state)
    assert list((state / "debs").iterdir()) == []


@pytest.mark.parametrize(("depends", "names"), [
    ("", []), ("adduser", []), ("libc6 (>= 2.34), libssl3 | libssl1.1", ["libc6", "libssl3"]), ("libx:any", ["libx"]),
    ("libnet-perl, libglib2.0-0", ["libglib2.0-0"]),
])
def test_libraries_of_a_field(depends, names):
    assert debs.libraries(depends) == names


@pytest.mark.parametrize(("version", "upstream"), [
    ("5:7.0.15-1~deb12u7", "7.0.15"), ("1.2.3-4", "1.2.3"), ("1.2", "1.2"), ("1:9.18+dfsg-1", "9.18"),
    ("2.0-rc1-3", "2.0-rc1"),
])
def test_upstream_version(version, upstream):
    assert debs.upstream_version(version) == upstream


def test_tree_of_packages_has_usr_merged_and_no_ballast(packages):
    state, _ = packages
    assert sorted(debs.tree(["server", "libone", "libthree"], state)) == [
        "etc/server.conf", "usr/bin/alias", "usr/bin/server", "usr/lib/x86_64-linux-gnu/libone.so", "usr/lib64/ld.so"]


def test_an_image_of_packages(packages, tmp_path):
    state, _ = packages
    image = picture(files={}, packages=("server",), links={"/bin-of-old": "usr/bin"}, texts={"/etc/passwd": "root:x:0:0"})
    files = oci.contents(image, {}, state)
    tar = oci.layer(files, image.dirs, {**oci.MERGED, **image.links}, image.texts)
    with tarfile.open(fileobj=BytesIO(tar)) as archive:
        kinds = {m.name: m.linkname if m.issym() else "folder" if m.isdir() else "file" for m in archive.getmembers()}
        assert archive.extractfile("etc/passwd").read() == b"root:x:0:0"
    assert kinds["lib"] == "usr/lib" and kinds["bin-of-old"] == "usr/bin" and kinds["usr/bin/alias"] == "server"
    assert kinds["usr/bin/server"] == kinds["usr/lib/x86_64-linux-gnu/libtwo.so"] == "file" and kinds["tmp"] == "folder"


def test_a_link_is_part_of_the_images_key(packages):
    state, _ = packages
    image = picture(files={}, packages=("server",))
    before = images.key_of(image, oci.contents(image, {}, state), "amd64")
    (state / "debs/server/usr/bin/alias").unlink()
    (state / "debs/server/usr/bin/alias").symlink_to("other")
    assert images.key_of(image, oci.contents(image, {}, state), "amd64") != before


@pytest.mark.parametrize(("wanted", "fails"), [("2.0", False), ("2.1", True)])
def test_an_image_keeps_the_version_that_its_name_promises(packages, wanted, fails):
    state, _ = packages
    image = picture(files={}, packages=("server",), version_of="server", version=wanted)
    if fails:
        with pytest.raises(BuildError, match=r"has server 1:2\.0-1, .*says 2\.1"):
            oci.contents(image, {}, state)
    else:
        assert "/usr/bin/server" in oci.contents(image, {}, state)


def test_a_package_without_its_facts_is_fetched_again_and_kept_when_that_fails(packages, monkeypatch):
    state, _ = packages
    debs.control_of("libtwo1", state).unlink()
    monkeypatch.setattr(debs.shutil, "which", lambda tool: None)
    with pytest.raises(BuildError, match="apt-get"):
        debs.with_libraries(["server"], state)
    assert (state / "debs/libtwo1/usr/lib/x86_64-linux-gnu/libtwo.so").is_file()


@pytest.mark.parametrize("source", ["artifact:y/y", "deb:p/usr/bin/none", "deb-concat:p/*.none", "file:/etc/passwd"])
def test_missing_source_is_named(tmp_path, monkeypatch, source):
    monkeypatch.setattr(debs, "unpacked", lambda package, state: tmp_path)
    with pytest.raises(BuildError, match=re.escape(source)):
        oci.contents(picture(files={"/x": source}), {}, tmp_path)


def test_stored_files_refuse_another_digest(tmp_path):
    tag = tmp_path / registry.STORAGE / "repositories/group/x/_manifests/tags/v1/current/link"
    tag.parent.mkdir(parents=True)
    tag.write_text("sha256:00")
    with pytest.raises(BuildError, match="sha256:00"):
        registry.stored_files(tmp_path, picture(), "sha256:11")


# --- what a command line selects ----------------------------------------------------------------------------------

def select(only=None, extra=()):
    minor = recipes.default_minor(TABLE)
    units = recipes.units_for(RECIPES, TABLE, [minor], ARTIFACTS, ROOT)
    chosen, pictures = cli.selected(units, recipes.load_images(ARTIFACTS / "images.yaml", TABLE[minor]), only, list(extra))
    return {unit.recipe.name for unit in chosen}, set(pictures)


@pytest.mark.parametrize(("only", "extra", "programs", "pictures"), [
    (["runc"], [], {"runc"}, set()),
    (["pause"], [], {"crane", "registry"}, {"pause"}),
    (["demo"], [], {"demo", "crane", "registry"}, {"demo-1", "demo-2"}),
    (["coredns"], [], {"coredns", "crane", "registry"}, {"coredns"}),
    (["kubeadm"], [], {"kubeadm"}, set()),
    (["redis"], [], {"crane", "registry"}, {"redis"}),
    (["e2e-nginx"], [], {"crane", "registry"}, {"e2e-nginx"}),
    (["e2e-agnhost"], [], {"conformance", "crane", "registry"}, {"e2e-agnhost"}),
    (["etcd"], ["kubeadm"], {"etcd", "kubeadm"}, set()),
])
def test_only(only, extra, programs, pictures):
    assert select(only, extra) == (programs, pictures)


def test_optional_programs_are_built_only_when_asked():
    assert "kubeadm" not in select()[0]
    assert select(extra=["kubeadm"])[0] - select()[0] == {"kubeadm"}


def test_the_conformance_tests_come_with_their_images():
    programs, pictures = select()
    more, pictures_too = select(extra=["conformance"])
    assert more - programs == {"conformance"}
    assert {"e2e-agnhost", "e2e-busybox", "e2e-nginx", "e2e-etcd"} <= pictures_too - pictures
    assert all(name.startswith("e2e-") for name in pictures_too - pictures)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(BuildError, match=r"nginx; there are: .*etcd"):
        select(["etcd", "nginx"])


# --- pinning ------------------------------------------------------------------------------------------------------

UPSTREAM = """module k8s.io/kubernetes

go 1.26.0

godebug default=go1.26

replace (
\tk8s.io/api => ./staging/src/k8s.io/api
\tk8s.io/kms => ./staging/src/k8s.io/kms
)
"""


def test_skeleton_repeats_what_counts_in_the_main_module_alone():
    recipe = recipes.Recipe("kubernetes", {}, module="k8s.io/kubernetes", pin={"staging": True})
    assert pin.skeleton("kubernetes", recipe, "1.36.3", UPSTREAM) == """module kaas/artifacts/kubernetes

go 1.26.0

godebug default=go1.26

require k8s.io/kubernetes v1.36.3

replace (
\tk8s.io/api => k8s.io/api v0.36.3
\tk8s.io/kms => k8s.io/kms v0.36.3
)
"""


def test_skeleton_requires_first_what_the_recipe_says():
    recipe = recipes.Recipe("x", {}, module="example.org/x", pin={"require": ["example.org/y@v1.3.0"]})
    text = pin.skeleton("x", recipe, "2.0.0", "module example.org/x\n\ngo 1.25.0\n")
    assert "go 1.25.0\n" in text and "require example.org/y v1.3.0\n" in text and "godebug" not in text
