"""The demo: its Go tests, and how its story is told (what the steps do is proven on a cluster: tests/lab/test_60_demo.py)."""

import json
import shutil
import subprocess

import pytest
from kaas_lab import cli, steps, story
from kaas_lab import cluster as clusters
from kaas_lab.errors import LabError
from kaas_lab.guestbook import Guestbook
from kaas_lab.paths import CLUSTERS, ROOT
from kaas_lab.polling import Attempt, Loop, NotYet, eventually
from kaas_lab.run import environment

GO = shutil.which("go", path=environment()["PATH"])


@pytest.mark.skipif(GO is None, reason="no Go toolchain")
def test_go():
    """`go vet` and `go test` of the program, with the dependencies of go.sum and no other."""
    for command in (["vet", "."], ["test", "."]):
        env = environment(GOFLAGS="-mod=readonly -buildvcs=false", GOTOOLCHAIN="local")
        done = subprocess.run([GO, *command], cwd=ROOT / "demo", env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(params=["demo", "mini", "split"])
def book(request):
    return Guestbook(clusters.load(CLUSTERS, request.param))


# --- the story ------------------------------------------------------------------------------------------------------


def test_every_step_has_a_complete_text_on_every_cluster(book):
    filled = story.words(book.cluster, book)
    for number, step in enumerate(story.STORY, 1):
        text = story.paragraphs(step, number, len(story.STORY), filled)
        assert "{kubectl}" not in text and "{url}" not in text and "{lab}" not in text, text
        assert max(map(len, text.splitlines())) <= 140
        assert step.look
    assert ("--cluster" in filled["lab"]) == (book.cluster.name != "demo")


def test_names_choose_steps_in_the_order_of_the_story():
    assert [step.name for step in story.chosen(["blue-green", "write"])] == ["write", "blue-green"]
    assert story.chosen([]) == list(story.STORY)
    with pytest.raises(LabError, match="no step fly; it has: deploy, write"):
        story.chosen(["fly", "write"])
    assert [line.split()[0] for line in story.listing().splitlines()] == [step.name for step in story.STORY]


@pytest.mark.parametrize(("name", "reason"), [("demo", ""), ("mini", "one worker only"), ("split", "one worker only")])
def test_clusters_that_can_lose_a_worker(name, reason, monkeypatch):
    monkeypatch.setattr(steps, "provider", lambda: "docker")
    book = Guestbook(clusters.load(CLUSTERS, name))
    assert reason in steps.can_lose_a_node(book) and bool(reason) == bool(steps.can_lose_a_node(book))


def test_machines_that_are_no_containers_are_not_killed(monkeypatch):
    monkeypatch.setattr(steps, "provider", lambda: "libvirt")
    assert "not containers" in steps.can_lose_a_node(Guestbook(clusters.load(CLUSTERS, "demo")))


def told(monkeypatch, capsys, *run, ask=False):
    """Tell a story of steps that run these functions; return (exit code, what was said)."""
    parts = [story.Step(f"s{n}", f"Title {n}", "Text.", ("{kubectl} get pods",), one) for n, one in enumerate(run, 1)]
    monkeypatch.setattr(story, "STORY", tuple(parts))
    monkeypatch.setattr(story, "write_kubeconfig", lambda cluster: None)
    code = story.tell(clusters.load(CLUSTERS, "mini"), ask=ask)
    return code, capsys.readouterr().out


def test_figures_are_shown(monkeypatch, capsys):
    code, text = told(monkeypatch, capsys, lambda book: {"seconds": 3, "visitors": "9 visits, 0 failed"})
    assert code == 0
    assert "lab/lab --cluster mini kubectl -n demo get pods" in text
    assert "visitors  9 visits, 0 failed" in text and "s1              done in 0 s" in text


@pytest.mark.parametrize("error", [AssertionError("waited in vain\nlast problem"), LabError("exit 1"), OSError("HTTP 503")])
def test_a_failed_step_ends_the_story_and_says_what_to_do(monkeypatch, capsys, error):
    def broken(book):
        raise error

    code, text = told(monkeypatch, capsys, broken, lambda book: {})
    assert code == 1
    assert str(error).splitlines()[0] in text and "Put things in order with: lab/lab --cluster mini up" in text
    assert "Title 2" not in text


def test_a_step_that_the_cluster_cannot_have_is_left_out(monkeypatch, capsys):
    step = story.Step("s", "Title", "Text.", ("x",), lambda book: pytest.fail("was run"), lambda book: "too small")
    monkeypatch.setattr(story, "STORY", (step,))
    monkeypatch.setattr(story, "write_kubeconfig", lambda cluster: None)
    assert story.tell(clusters.load(CLUSTERS, "mini"), ask=False) == 0
    assert "Left out here: too small." in capsys.readouterr().out


def test_enter_is_waited_for_before_each_step(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("builtins.input", asked.append)
    assert told(monkeypatch, capsys, lambda book: {}, lambda book: {}, ask=True)[0] == 0
    assert len(asked) == 2


def test_visitors_are_counted_while_a_step_runs(monkeypatch, capsys):
    monkeypatch.setattr(story, "EVERY", 0.01)

    def run(book):
        book.visitors = Loop(lambda: (0, {"colour": "blue", "version": "1"}), every=0.001)
        with book.visitors:
            said = "visits, 0 failed; blue 1: "
            eventually(lambda: said in capsys.readouterr().out, 20, "the counter to say something", 0.02)
        return {}

    assert told(monkeypatch, capsys, run)[0] == 0


def test_a_cluster_without_the_demo_says_how_to_have_it(monkeypatch):
    monkeypatch.setattr(story, "wants_demo", lambda cluster: False)
    with pytest.raises(LabError, match="cluster mini has no demo: add it to `addons`"):
        story.tell(clusters.load(CLUSTERS, "mini"))


def test_command_line(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(story, "tell", lambda cluster, names, ask: calls.append((cluster.name, names, ask)) or 0)
    assert cli.main(["--cluster", "mini", "demo", "--yes", "write", "tidy"]) == 0
    assert cli.main(["demo"]) == 0
    assert calls == [("mini", ["write", "tidy"], False), ("demo", [], None)]
    assert cli.main(["demo", "--list"]) == 0 and "blue-green" in capsys.readouterr().out


# --- the guestbook as the steps see it --------------------------------------------------------------------------------


class Answers(Guestbook):
    """A guestbook whose cluster answers `kubectl get` from a table."""

    def __init__(self, table):
        super().__init__(clusters.load(CLUSTERS, "demo"))
        self.table = table

    def get(self, *argv):
        return self.table[argv[:2] if argv[:2] in self.table else argv[0]]


def deployment(wanted, found, generation=1):
    status = {"observedGeneration": generation, "replicas": found, "updatedReplicas": found, "availableReplicas": found}
    return {"metadata": {"generation": 1}, "spec": {"replicas": wanted}, "status": status}


def test_available_says_what_is_missing():
    book = Answers({("deployment", "a"): deployment(2, 2), ("deployment", "b"): deployment(2, 3)})
    assert book.available("a")
    with pytest.raises(NotYet, match=r"b: wanted 2, found .*'replicas': 3"):
        book.available("a", "b")
    with pytest.raises(NotYet):
        Answers({("deployment", "a"): deployment(2, 2, generation=0)}).available("a")


def test_an_empty_guestbook_is_complete(monkeypatch):
    book = Answers({("deployment", name): deployment(2, 2) for name in ("backend", "frontend", "frontend-green")})
    monkeypatch.setattr(book, "entries", list)
    book.complete(timeout=0)


@pytest.mark.parametrize(("app", "colour"), [("frontend", "blue"), ("frontend-green", "green")])
def test_live_is_what_the_service_selects(app, colour):
    assert Answers({"service": {"spec": {"selector": {"app": app}}}}).live() == colour


def test_pods_that_leave_are_not_counted():
    pods = [{"metadata": {"name": "a"}}, {"metadata": {"name": "b", "deletionTimestamp": "now"}}]
    assert [pod["metadata"]["name"] for pod in Answers({"pods": {"items": pods}}).pods("frontend")] == ["a"]


@pytest.mark.parametrize(
    ("test", "states", "wanted"),
    [
        (False, {"a": {"__id__": "x", "changes": {}, "result": True}}, []),
        (False, {"a": {"__id__": "x", "changes": {"y": 1}, "result": True}}, ["x"]),
        (True, {"a": {"__id__": "x", "changes": {}, "result": None}}, ["x"]),
    ],
)
def test_salt_names_states_with_changes(monkeypatch, test, states, wanted):
    calls = []

    def execute(cluster, machine, argv, **kwargs):
        calls.append(argv)
        return subprocess.CompletedProcess(argv, 0, json.dumps({"m1.demo": states}), "")

    monkeypatch.setattr("kaas_lab.machines.execute", execute)
    assert Answers({}).salt(test=test) == wanted
    assert calls[0][:4] == ["salt", "m1.demo", "state.apply", "demo.deployed"] and f"test={test}" in calls[0]


def test_salt_without_a_return_is_an_error(monkeypatch):
    done = subprocess.CompletedProcess([], 1, "", "no minion")
    monkeypatch.setattr("kaas_lab.machines.execute", lambda *args, **kwargs: done)
    with pytest.raises(LabError, match="no minion"):
        Answers({}).salt()


# --- steps notice what they promise against ---------------------------------------------------------------------------


def loop(*problems):
    found = Loop(lambda: None)
    found.attempts = [Attempt(n, n, text) for n, text in enumerate(problems)]
    return found


def test_a_failed_visit_is_noticed():
    steps.none_failed(loop("", ""))
    assert steps.counted(loop("", "HTTP 502")) == "2 visits, 1 failed"
    with pytest.raises(AssertionError, match="1 of 2 attempts failed"):
        steps.none_failed(loop("", "HTTP 502"))
    with pytest.raises(AssertionError, match="nobody"):
        steps.none_failed(loop())


def test_an_entry_that_is_not_there_is_noticed(monkeypatch):
    book = Answers({})
    monkeypatch.setattr(book, "complete", lambda: None)
    monkeypatch.setattr(book, "entries", list)
    monkeypatch.setattr(book, "sign", lambda name, text: {"number": 1})
    with pytest.raises(AssertionError, match="written but not there"):
        steps.write(book)


def test_the_load_balancers_address_is_waited_for_and_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(steps, "fetch", lambda url: asked.append(url) or "{}")
    book = Answers({"service": {"status": {"loadBalancer": {}}}})
    with pytest.raises(NotYet, match="no address yet"):
        steps.balanced(book)
    book.table["service"]["status"]["loadBalancer"] = {"ingress": [{"ip": "172.28.0.200"}]}
    assert steps.balanced(book) == "172.28.0.200"
    book.table["service"]["status"]["loadBalancer"] = {"ingress": [{"ip": "fd00::1"}]}
    assert steps.balanced(book) == "fd00::1"
    assert asked == ["http://172.28.0.200/api", "http://[fd00::1]/api"]


def test_visits_are_told_apart_by_who_served_them():
    found = Loop(lambda: None)
    found.results = [(0, {"colour": "blue", "version": "1"}), (1, None), (2, {"colour": "green", "version": "2"}), (3, {"colour": "blue", "version": "1"})]
    assert steps.served(found) == "blue 1: 2, green 2: 1"
    assert steps.served(loop("")) == ""
