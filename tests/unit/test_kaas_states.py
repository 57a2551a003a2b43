"""The small states: formula, kernel, joined files, artifacts' state function."""

import formula
import kaas_artifact
import kaas_file
import kaas_formula
import pytest


class TestFormula:
    def run(self, tmp_path, digests, digest="new", **kwargs):
        """Run `current` where each look finds the next of `digests` (the last one stays)."""
        synced = []
        left = list(digests)
        module = formula.load(
            "_states/kaas_formula.py",
            utils={
                "kaas_formula.digest": lambda folders: left.pop(0) if len(left) > 1 else left[0],
                "kaas_file.read": kaas_file.read,
                "kaas_file.write": kaas_file.write,
            },
            salt={
                "saltutil.sync_utils": lambda refresh: None,
                "saltutil.sync_modules": lambda refresh: None,
                "saltutil.sync_states": lambda refresh: synced.append(refresh),
            },
            opts={"test": False, "extension_modules": str(tmp_path)},
        )
        module.time = type("Clock", (), {"monotonic": iter(range(1000)).__next__, "sleep": lambda seconds: None})
        return module.current("x", digest, str(tmp_path / "stamp"), **kwargs), synced, tmp_path / "stamp"

    def test_the_masters_modules_need_no_sync(self, tmp_path):
        ret, synced, stamp = self.run(tmp_path, ["new"])
        assert (ret["result"], ret["changes"], synced) == (True, {}, [])
        assert stamp.read_text() == "new"

    def test_syncs_until_the_masters_file_list_is_fresh(self, tmp_path):
        ret, synced, stamp = self.run(tmp_path, ["old", "old", "new"])
        assert ret["result"] is True and len(synced) == 2
        assert stamp.read_text() == "new"

    def test_stale_modules_stop_the_run(self, tmp_path):
        ret, synced, stamp = self.run(tmp_path, ["old"], timeout=5)
        assert ret["result"] is False and "are not the master's" in ret["comment"]
        assert synced and not stamp.exists()

    def test_a_master_without_a_hash_checks_nothing(self, tmp_path):
        ret, synced, _ = self.run(tmp_path, ["old"], digest=None)
        assert (ret["result"], synced) == (True, [])

    @pytest.mark.parametrize("digest", ["new", None])
    def test_warnings_about_the_cluster_are_shown_and_change_nothing(self, tmp_path, digest):
        ret, _, _ = self.run(tmp_path, ["new"], digest=digest, cluster_warnings=["nodes 2 nodes have the role etcd"])
        assert (ret["warnings"], ret["result"], ret["changes"]) == (["nodes 2 nodes have the role etcd"], True, {})
        assert "warnings" not in self.run(tmp_path, ["new"], digest=digest)[0]


def test_digest_sees_names_contents_and_nothing_of_others(tmp_path):
    folders = {"modules": str(tmp_path / "modules"), "states": str(tmp_path / "states")}
    (tmp_path / "modules").mkdir()
    seen = [kaas_formula.digest(folders)]
    (tmp_path / "modules" / "kaas_x.py").write_text("1")
    seen.append(kaas_formula.digest(folders))
    (tmp_path / "modules" / "kaas_x.py").write_text("2")
    seen.append(kaas_formula.digest(folders))
    (tmp_path / "modules" / "kaas_x.py").rename(tmp_path / "modules" / "kaas_y.py")
    seen.append(kaas_formula.digest(folders))
    assert len(set(seen)) == 4
    (tmp_path / "modules" / "other.py").write_text("1")
    (tmp_path / "modules" / "kaas_y.pyc").write_text("1")
    assert kaas_formula.digest(folders) == seen[-1]


KERNEL = [
    # (present modules, those that modprobe can load, result, changes)
    (["overlay", "br_netfilter"], [], True, {}),
    (["overlay"], ["br_netfilter"], True, {"br_netfilter": "loaded"}),
    (["overlay"], [], False, {}),
]


@pytest.mark.parametrize(("present", "loadable", "result", "changes"), KERNEL)
@pytest.mark.parametrize("test", [False, True])
def test_kernel_modules(present, loadable, result, changes, test):
    asked = []
    module = formula.load(
        "_states/kaas_kernel.py",
        utils={
            "kaas_kernel.present": lambda name: name in present,
            "kaas_kernel.load": lambda name: (
                asked.append(name) or (None if name in loadable else f"modprobe {name}: no")
            ),
        },
        opts={"test": test},
    )
    ret = module.modules("x", ["overlay", "br_netfilter"])
    missing = "br_netfilter" not in present
    if test:
        assert ret["result"] is (None if missing else True) and asked == []
    else:
        assert (ret["result"], ret["changes"]) == (result, changes)


class TestJoined:
    def run(self, path, sources, test=False, **kwargs):
        module = formula.load("_states/kaas_file.py", utils={"kaas_file.write": kaas_file.write}, opts={"test": test})
        return module.joined(str(path), [str(source) for source in sources], **kwargs)

    def test_joins_once_and_follows_its_sources(self, tmp_path):
        one, two, out = tmp_path / "1", tmp_path / "2", tmp_path / "out"
        one.write_text("a")
        two.write_text("b\n")
        assert self.run(out, [one, two], test=True)["result"] is None and not out.exists()
        assert self.run(out, [one, two])["changes"]
        assert out.read_text() == "a\nb\n" and out.stat().st_mode & 0o777 == 0o644
        assert self.run(out, [one, two])["changes"] == {}
        two.write_text("c\n")
        assert self.run(out, [one, two])["changes"]
        out.chmod(0o600)
        assert self.run(out, [one, two])["changes"], "a wrong mode is a change"

    def test_a_missing_source_is_named(self, tmp_path):
        ret = self.run(tmp_path / "out", [tmp_path / "gone"])
        assert ret["result"] is False and "gone" in ret["comment"]
        assert self.run(tmp_path / "out", [tmp_path / "gone"], test=True)["result"] is None


class TestArtifactState:
    @pytest.fixture
    def run(self, tmp_path):
        """Return a function that runs a function of the state with its store and its links below `tmp_path`."""
        store = tmp_path / "store"
        utils = {f"kaas_artifact.{name}": getattr(kaas_artifact, name) for name in ("missing", "unlinked", "link")}
        utils |= {
            "kaas_artifact.folder": lambda component, version: kaas_artifact.folder(component, version, store),
            "kaas_artifact.versions": lambda component: kaas_artifact.versions(component, store),
            "kaas_artifact.remove": lambda component, version: kaas_artifact.remove(component, version, store),
            "kaas_artifact.remove_links": lambda component, bin_dir: kaas_artifact.remove_links(
                component, bin_dir, store
            ),
            "kaas_artifact.fetch": kaas_artifact.fetch,
        }

        def call(function, *args, test=False, **kwargs):
            module = formula.load("_states/kaas_artifact.py", utils=utils, opts={"test": test})
            return getattr(module, function)(*args, bin_dir=str(tmp_path / "bin"), **kwargs)

        return call

    def entry(self, tmp_path, content):
        source = tmp_path / f"source-{content}"
        source.write_text(content)
        return [{"name": "tool", "url": source.as_uri(), "sha256": kaas_artifact.sha256_file(source)}]

    def test_versions_are_switched_and_old_ones_removed(self, run, tmp_path):
        link = tmp_path / "bin" / "tool"
        for version in ("1", "2", "3"):
            files = self.entry(tmp_path, version)
            assert run("installed", "tool", version, files, test=True)["result"] is None
            ret = run("installed", "tool", version, files)
            assert ret["result"] is True and set(ret["changes"]) >= {"fetched", "linked"}
            assert link.read_text() == version
            assert run("installed", "tool", version, files)["changes"] == {}
        assert sorted(path.name for path in (tmp_path / "store" / "tool").iterdir()) == ["2", "3"]

    def test_a_wrong_checksum_keeps_what_ran(self, run, tmp_path):
        assert run("installed", "tool", "1", self.entry(tmp_path, "1"))["result"] is True
        bad = [{**self.entry(tmp_path, "2")[0], "sha256": "0" * 64}]
        ret = run("installed", "tool", "2", bad)
        assert ret["result"] is False and ret["changes"] == {} and "0" * 64 in ret["comment"]
        assert (tmp_path / "bin" / "tool").read_text() == "1"

    def test_absent(self, run, tmp_path):
        run("installed", "tool", "1", self.entry(tmp_path, "1"))
        (tmp_path / "bin" / "other").write_text("stays")
        assert run("absent", "tool", test=True)["result"] is None
        assert run("absent", "tool")["changes"] == {"removed": ["1"]}
        assert [path.name for path in (tmp_path / "bin").iterdir()] == ["other"]
        assert run("absent", "tool")["changes"] == {}
