"""The demo's story for people: what each step is about, what to look at, who visits meanwhile, what was measured."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from . import steps
from .cluster import Cluster
from .errors import LabError
from .guestbook import Guestbook
from .kube import wants_demo, write_kubeconfig
from .ui import say

WIDTH = 100
EVERY = 5  # seconds between two lines of the visitors' counter


@dataclass(frozen=True)
class Step:
    """
    One chapter. `look` are commands for another terminal; {kubectl}, {lab} and {url} are filled in.

    impossible: says why this cluster can't have the step, empty when it can.
    """

    name: str
    title: str
    text: str
    look: tuple[str, ...]
    run: Callable[[Guestbook], steps.Figures]
    impossible: Callable[[Guestbook], str] = lambda book: ""


STORY = (
    Step(
        "deploy",
        "A web application in three parts",
        "A guestbook: front ends show the page, a back end keeps the entries in a Redis database. Each part finds the "
        "next one by its name in the cluster's DNS. The highstate put all of it there: Deployments, a StatefulSet with "
        "a volume, a Secret with the database's password, a ConfigMap, Services, autoscalers, disruption budgets and "
        "network policies.",
        (
            "open {url} in a browser, or: curl {url}api",
            "{kubectl} get all,pvc,secret,configmap,netpol,pdb",
            "less salt/demo/deployed.sls",
        ),
        steps.deploy,
    ),
    Step(
        "write",
        "People write, the database keeps it",
        "Five visitors sign the guestbook. Several back ends take the entries; all of them lie in one database, on the "
        "disk of one worker. An entry that was confirmed is on that disk.",
        (
            'curl -d \'{{"name": "me", "text": "hello"}}\' {url}entries',
            "curl {url}entries",
            "{kubectl} exec deployment/backend -- /demo entries",
        ),
        steps.write,
    ),
    Step(
        "heal-pod",
        "A pod is gone: nobody notices",
        "One of the front end's pods is deleted while visitors come. A new one starts before the old one is gone, and "
        "the old one answers until every node knows that it leaves.",
        ("{kubectl} get pods --watch", "{kubectl} delete pod --wait=false NAME"),
        steps.heal_pod,
    ),
    Step(
        "heal-database",
        "The database is gone: nothing is lost",
        "The only pod of the database is deleted. For some seconds the page has no entries and says so; then a new pod "
        "reads them from the same volume.",
        ("{kubectl} get pods,pvc --selector=app=database --watch", "{kubectl} logs database-0"),
        steps.heal_database,
    ),
    Step(
        "heal-node",
        "A machine is gone: the cluster goes on",
        "The last worker loses its power, with everything that ran there. Visitors of the other nodes may wait or fail "
        "until the cluster has found out (about 50 s: the node could be back at any moment), then all pods run "
        "elsewhere. Afterwards the machine gets its power back and joins by itself.",
        ("{lab} kubectl get nodes --watch", "{kubectl} get pods --output=wide --watch"),
        steps.heal_node,
        steps.can_lose_a_node,
    ),
    Step(
        "scale",
        "Many visitors: more pods; fewer visitors: fewer pods",
        "Visitors of the live front end cost processor time; at the same time the other front end is asked to hold "
        "memory. Each has an autoscaler that looks at both. When the load is over, both shrink after a minute.",
        ("{kubectl} get hpa --watch", "{kubectl} top pods", "curl '{url}load?ms=400'"),
        steps.scale,
    ),
    Step(
        "rolling-update",
        "A new version, pod by pod",
        "Front and back end are updated by hand while visitors come, one new pod for each old one. Then Salt is asked "
        "to apply the cluster file: it sees what was changed by hand and takes it back, pod by pod too.",
        (
            "{kubectl} rollout status deployment/frontend",
            "while sleep 0.2; do curl -s {url}api; done",
            "{lab} salt '{deployer}' state.apply demo.deployed test=True",
        ),
        steps.rolling_update,
    ),
    Step(
        "blue-green",
        "A new release at once, and back",
        "Two complete front ends run: blue (version 1) has the visitors, green (version 2) is ready beside it. We look "
        "at green first, where no visitor sees it. Then one change of the Service sends everybody to green, and "
        "another one back. In a cluster file the switch is the key `demo.live`.",
        (
            "{kubectl} get service frontend --output=wide --watch",
            "while sleep 0.2; do curl -s {url}api; done",
            "{kubectl} get --raw /api/v1/namespaces/demo/services/frontend-preview:http/proxy/api",
        ),
        steps.blue_green,
    ),
    Step(
        "tidy",
        "Everything as the cluster file describes it",
        "Whatever we did by hand is undone. Salt applies the demo once more and then finds nothing to change. The "
        "entries stay.",
        ("{lab} salt '{deployer}' state.apply demo.deployed test=True", "curl {url}entries"),
        steps.tidy,
    ),
)


def chosen(names: Sequence[str]) -> list[Step]:
    """The steps of these names in the order of the story; all of them without names. LabError for an unknown name."""
    known = [step.name for step in STORY]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LabError(f"the demo has no step {', '.join(unknown)}; it has: {', '.join(known)}")
    return [step for step in STORY if not names or step.name in names]


def words(cluster: Cluster, book: Guestbook) -> dict[str, str]:
    """What the texts' words in braces stand for."""
    option = "" if cluster.name == "demo" else f"--cluster {cluster.name} "
    lab = f"lab/lab {option}".strip()
    return {"lab": lab, "kubectl": f"{lab} kubectl -n demo", "url": book.url("/"), "deployer": book.deployer.id}


def paragraphs(step: Step, number: int, of: int, filled: dict[str, str]) -> str:
    """The text before a step."""
    lines = ["", f"[{number}/{of}] {step.title}", ""]
    lines += textwrap.wrap(step.text.format(**filled), WIDTH, initial_indent="    ", subsequent_indent="    ")
    lines += ["", "    Look at it from another terminal:"]
    lines += [f"      {command.format(**filled)}" for command in step.look]
    return "\n".join(lines)


def listing() -> str:
    """One line for each step."""
    return "\n".join(f"{step.name:<15} {step.title}" for step in STORY)


def tell(cluster: Cluster, names: Sequence[str] = (), *, ask: bool | None = None) -> int:
    """
    Tell the story on a running cluster; returns the exit code.

    ask: wait for Enter before each step (by default when there is a terminal to ask on).
    """
    if not wants_demo(cluster):
        raise LabError(f"cluster {cluster.name} has no demo: add it to `addons` in its file, then lab/lab up")
    parts = chosen(names)
    asking = sys.stdin.isatty() and sys.stdout.isatty() if ask is None else ask
    write_kubeconfig(cluster)
    book = Guestbook(cluster, lambda text: say(f"    .. {text}"))
    filled = words(cluster, book)
    say(f"The demo on cluster {cluster.name}: {len(parts)} steps. Each puts back what it changes; stop with Ctrl-C.")
    results: list[tuple[Step, str]] = []
    for number, step in enumerate(parts, 1):
        say(paragraphs(step, number, len(parts), filled))
        reason = step.impossible(book)
        if reason:
            say(f"\n    Left out here: {reason}.")
            results.append((step, f"left out: {reason}"))
            continue
        if asking:
            input("\n    Enter starts this step: ")
        say("")
        results.append((step, played(step, book)))
        if results[-1][1].startswith("failed"):
            say(f"    Put things in order with: {filled['lab']} up")
            break
    say("\nWhat happened:")
    for step, outcome in results:
        say(f"    {step.name:<15} {outcome}")
    return 1 if any(outcome.startswith("failed") for _, outcome in results) else 0


@contextlib.contextmanager
def counter(book: Guestbook) -> Iterator[None]:
    """Say now and then how many visitors came and how many failed, while some come."""
    book.visitors = None
    ended = threading.Event()
    began = time.monotonic()

    def count() -> None:
        before = 0
        while not ended.wait(EVERY):
            loop = book.visitors
            if loop and len(loop.attempts) != before:
                before = len(loop.attempts)
                parts = [steps.counted(loop), *filter(None, [steps.served(loop)])]
                say(f"       {time.monotonic() - began:4.0f} s  {'; '.join(parts)}")

    ticker = threading.Thread(target=count, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        ended.set()
        ticker.join()


def played(step: Step, book: Guestbook) -> str:
    """Run one step and print its figures; returns "done in ..." or "failed: ..."."""
    began = time.monotonic()
    try:
        with counter(book):
            figures = step.run(book)
    except (AssertionError, LabError, OSError) as error:
        text = str(error) or type(error).__name__
        say(textwrap.indent(f"This did not go as it should:\n{text}", "    "))
        return f"failed: {text.splitlines()[0]}"
    width = max(map(len, figures), default=0)
    for what, value in figures.items():
        say(f"    {what:<{width}}  {value}")
    return f"done in {time.monotonic() - began:.0f} s"
