"""
What the demo shows: each function does one thing to the guestbook under visitors, measures, and puts it back.

A step takes a Guestbook and returns its figures ``{what: value}``; AssertionError or LabError when the cluster does not
do what the step promises. The tests call the same functions (tests/lab/test_60_demo.py).
"""

from __future__ import annotations

import collections
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from .guestbook import FRONTENDS, Guestbook
from .machines import provider
from .polling import Loop, NotYet, eventually, fetch

# Seconds. The controllers take about 50 s to call a node lost, the pods tolerate that for 20 s, then others start.
POD_HEALED_WITHIN = 60
NODE_HEALED_WITHIN = 150
SCALED_WITHIN = 180
SHRUNK_WITHIN = 300
ROLLED_WITHIN = 150
SWITCHED_WITHIN = 5

Figures = dict[str, Any]


def counted(loop: Loop) -> str:
    """How many visits a loop made and how many failed."""
    return f"{len(loop.attempts)} visits, {len(loop.failed)} failed"


def served(loop: Loop) -> str:
    """Which front ends served the visits whose answers say so: "blue 1: 300, green 2: 12"; empty when none did."""
    answers = [reply for _, reply in list(loop.results) if reply]
    counts = collections.Counter(f"{reply.get('colour', '')} {reply['version']}" for reply in answers)
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))


def none_failed(loop: Loop) -> None:
    """AssertionError unless the loop ran and nothing failed."""
    assert loop.attempts, "nobody visited"
    assert not loop.failed, loop.report()


def deploy(book: Guestbook) -> Figures:
    """Wait until all parts are there; find each other by name."""
    book.complete()
    reply = json.loads(fetch(book.url("/api")))
    front, back = reply["pod"], reply["backend"]["pod"]
    book.tell(f"front end {front} on {reply['node']} asked back end {back} on {reply['backend']['node']} by its name")
    figures = {"live": book.live(), "version": reply["version"], "entries": len(book.entries())}
    if book.get("service", "frontend")["spec"]["type"] == "LoadBalancer":
        figures["address of the load balancer"] = eventually(lambda: balanced(book), 90, "the load balancer's address")
    return figures


def balanced(book: Guestbook) -> str:
    """The address that a load balancer gave the front end, once it answers there; NotYet without one."""
    given = book.get("service", "frontend").get("status", {}).get("loadBalancer", {}).get("ingress") or []
    if not given:
        raise NotYet("the Service frontend has no address yet")
    address = str(given[0].get("ip") or given[0].get("hostname"))
    json.loads(fetch(f"http://[{address}]/api" if ":" in address else f"http://{address}/api"))
    return address


def write(book: Guestbook, count: int = 5) -> Figures:
    """Write entries and read them again; several back ends write into one database."""
    book.complete()
    before = len(book.entries())
    written = [book.sign("demo", f"Visitor {number} was here") for number in range(1, count + 1)]
    found = {entry["number"]: entry for entry in book.entries()}
    missing = [entry for entry in written if found.get(entry["number"]) != entry]
    assert not missing, f"written but not there: {missing}"
    # what the database says itself, asked with its password from a back end's Secret
    stored = json.loads(book.kubectl("exec", "deployment/backend", "--", "/demo", "entries"))
    assert [entry["number"] for entry in stored["entries"]] == list(found), "the database has other entries"
    book.tell(f"written by {', '.join(sorted({entry['writer'] for entry in written}))}")
    return {"entries before": before, "entries": len(found)}


def heal_pod(book: Guestbook) -> Figures:
    """Delete a front end's pod: another one takes its place, and no visitor notices."""
    book.complete()
    app = FRONTENDS[book.live()]
    victim = book.pods(app)[0]["metadata"]["name"]
    with book.visits(paths=("/", "/api")) as loop:
        eventually(lambda: len(loop.attempts) > 20, 20, "the first visitors")
        began = time.monotonic()
        book.kubectl("delete", "pod", victim, "--wait=false")
        book.tell(f"deleted {victim}")

        def replaced() -> bool:
            names = {pod["metadata"]["name"] for pod in book.get("pods", f"--selector=app={app}")["items"]}
            return victim not in names and book.available(app)

        eventually(replaced, POD_HEALED_WITHIN, f"pod {victim} to be replaced and gone")
        took = time.monotonic() - began
    none_failed(loop)
    return {"seconds until replaced and gone": round(took, 1), "visitors": counted(loop)}


def heal_database(book: Guestbook) -> Figures:
    """Delete the database's pod: the page stays up without entries for moments, and not one entry is lost."""
    book.complete()
    book.sign("demo", "Written just before the database is stopped")
    before = book.entries()
    uid = book.get("pod", "database-0")["metadata"]["uid"]
    # the page always answers; /entries says 503 while the database is away
    with book.visits(paths=("/",)) as pages, Loop(lambda: book.entries(1), every=0.1) as readers:
        eventually(lambda: len(readers.attempts) > 5, 20, "the first readers")
        book.kubectl("delete", "pod", "database-0", "--wait=false")
        book.tell("deleted database-0")

        def back() -> bool:
            pod = book.get("pod", "database-0")
            return bool(pod["metadata"]["uid"] != uid and book.entries() is not None)

        eventually(back, POD_HEALED_WITHIN, "the database to be back", 0.2)
        moment = time.monotonic()
        eventually(lambda: readers.answered_since(moment), 20, "readers to get entries again")
    assert book.entries() == before, "the entries are not the same as before"
    none_failed(pages)
    gap = readers.longest_gap()
    assert gap < POD_HEALED_WITHIN, readers.report()
    return {"entries kept": len(before), "seconds without entries": round(gap, 1), "page": counted(pages)}


@contextlib.contextmanager
def node_lost(book: Guestbook) -> Iterator[Figures]:
    """
    The last worker loses its power under visitors of the other nodes; it is started again when the context is left.

    Yields the figures once all pods that were there run elsewhere.
    """
    book.complete()
    victim = book.workers[-1]
    others = [node for node in book.cluster.kubelets if node != victim]
    apps = ("backend", FRONTENDS[book.live()])
    there = [pod for app in apps for pod in book.pods(app) if pod["spec"].get("nodeName") == victim.name]
    assert there, f"no pod of the guestbook on {victim.name}"
    try:
        with book.visits(*others, paths=("/",), every=0.1) as loop:
            eventually(lambda: len(loop.attempts) > 10, 20, "the first visitors")
            book.kill(victim)
            began = time.monotonic()
            book.tell(f"{victim.name} is dead; {len(there)} pods were there")

            def moved() -> bool:
                running = [pod for app in apps for pod in book.pods(app) if pod["status"]["phase"] == "Running"]
                left = [pod["metadata"]["name"] for pod in running if pod["spec"]["nodeName"] == victim.name]
                if left:
                    raise NotYet(f"still counted as running on {victim.name}: {', '.join(left)}")
                return book.available(*apps)

            eventually(moved, NODE_HEALED_WITHIN, f"the pods of {victim.name} to run elsewhere", 1)
            took = time.monotonic() - began
            moment = time.monotonic()
            eventually(lambda: time.monotonic() > moment + 3, 10, "some more visitors")
        # endpoints on the dead node are taken out when the node is found to be lost; afterwards nobody fails
        late = [attempt for attempt in loop.failed if attempt.begin > moment]
        assert not late, f"{len(late)} visits failed after the pods had moved: {late[0].problem}"
        last = max((attempt.begin for attempt in loop.failed), default=began)
        yield {
            "node": victim.name,
            "seconds until all pods ran elsewhere": round(took, 1),
            "seconds until the last failed visit": round(last - began, 1),
            "longest time without an answer, seconds": round(loop.longest_gap(), 1),
            "visitors of the other nodes": counted(loop),
            "what the last of them met": loop.failed[-1].problem[:120] if loop.failed else "no failure",
        }
    finally:
        book.tell(f"starting {victim.name} again")
        book.start(victim)


def heal_node(book: Guestbook) -> Figures:
    """Kill a worker, wait until its pods run elsewhere, start it again."""
    with node_lost(book) as figures:
        pass
    book.complete()
    return figures


def can_lose_a_node(book: Guestbook) -> str:
    """Why this cluster can't lose a worker; empty when it can."""
    if len(book.workers) < 2:
        return "the cluster has one worker only"
    if "master" in book.workers[-1].roles:
        return f"{book.workers[-1].name} is a master too"
    if provider() != "docker":
        return "the machines are not containers"
    return ""


def scale(book: Guestbook) -> Figures:
    """
    Load that needs processor time on the live front end, load that needs memory on the other one: both get more pods.

    Afterwards both shrink to what they were.
    """
    book.complete()
    live = FRONTENDS[book.live()]
    idle = next(app for app in FRONTENDS.values() if app != live)
    low = {app: book.scaler(app)["spec"]["minReplicas"] for app in (live, idle)}

    told = dict(low)

    def wanted(app: str) -> int:
        status = book.scaler(app)["status"]
        if not status.get("currentMetrics"):
            raise NotYet(f"{app}: no metrics yet: {json.dumps(status.get('conditions'))[:500]}")
        if status["desiredReplicas"] != told[app]:
            told[app] = status["desiredReplicas"]
            book.tell(f"the autoscaler of {app} wants {told[app]} pods")
        return int(status["desiredReplicas"])

    def quiet() -> bool:
        return all(wanted(app) == low[app] for app in low)

    eventually(quiet, SHRUNK_WITHIN, "the autoscalers to know the load and to want their minimum", 2)
    preview = "/api/v1/namespaces/demo/services/frontend-preview:http/proxy/memory?mb=64&ms=20000"
    began = time.monotonic()
    grown: dict[str, float] = {}

    def more() -> bool:
        for app in low:
            if wanted(app) > low[app]:
                grown.setdefault(app, round(time.monotonic() - began, 1))
        if set(grown) != set(low):
            missing = [json.dumps(book.scaler(app)["status"].get("currentMetrics")) for app in low if app not in grown]
            raise NotYet(f"not more yet: {missing}")
        return True

    burning = Loop(lambda: fetch(book.url("/load?ms=400"), timeout=15), every=0, threads=3)
    holding = Loop(lambda: book.kubectl("get", "--raw", preview), every=1)
    with burning, holding:
        eventually(more, SCALED_WITHIN, "more pods of both front ends", 2)
    eventually(lambda: book.available(live, idle), 120, "the additional pods to serve", 1)
    most = {app: book.get("deployment", app)["spec"]["replicas"] for app in low}
    book.tell(f"pods under load: {most[live]} by processor time, {most[idle]} by memory; the load is over now")
    calm = time.monotonic()
    eventually(lambda: quiet() and book.available(live, idle), SHRUNK_WITHIN, "the front ends to shrink again", 2)
    return {
        "seconds until more pods by processor time": grown[live],
        "seconds until more pods by memory": grown[idle],
        "pods under load": f"{most[live]} and {most[idle]} instead of {low[live]} and {low[idle]}",
        "seconds until back to the minimum": round(time.monotonic() - calm, 1),
    }


def rolling_update(book: Guestbook) -> Figures:
    """Update front and back end to another version pod by pod, let Salt take it back: no visitor notices either."""
    book.complete()
    live = FRONTENDS[book.live()]
    idle = next(app for app in FRONTENDS.values() if app != live)
    before, other = book.image(live), book.image(idle)
    container = {"backend": "backend", live: "frontend"}
    figures: Figures = {}
    with contextlib.ExitStack() as undo, book.visits(paths=("/", "/api"), every=0.03) as loop:
        undo.callback(book.salt)  # whatever happens
        eventually(lambda: len(loop.attempts) > 20, 20, "the first visitors")
        began = time.monotonic()
        for name, part in container.items():
            book.kubectl("set", "image", f"deployment/{name}", f"{part}={other}")
        eventually(lambda: book.available(*container), ROLLED_WITHIN, f"the update to {other}", 0.5)
        figures["seconds until updated"] = round(time.monotonic() - began, 1)
        assert_version(book, other)
        book.tell("updated; now Salt makes it what the cluster file says")
        began = time.monotonic()
        changed = book.salt()
        undo.pop_all()
        assert changed == ["demo-deployed"], f"Salt changed {changed}"
        eventually(lambda: book.available(*container), ROLLED_WITHIN, f"the way back to {before}", 0.5)
        figures["seconds until back"] = round(time.monotonic() - began, 1)
        assert book.image(live) == before
        assert_version(book, before)
    assert len(loop.attempts) > 100
    none_failed(loop)
    return {**figures, "visitors": counted(loop)}


def assert_version(book: Guestbook, image: str) -> None:
    """Soon only this image's version answers; an old pod that drains may still do so for a moment."""
    number = image.partition("@")[0].rsplit(":", 1)[1]

    def alone() -> bool:
        return {json.loads(fetch(book.url("/api")))["version"] for _ in range(10)} == {number}

    eventually(alone, 15, f"version {number} alone to answer")


def blue_green(book: Guestbook) -> Figures:
    """Look at the other release, switch all visitors to it at once, and back: no visitor fails."""
    book.complete()
    first = book.live()
    second = next(colour for colour in FRONTENDS if colour != first)
    proxied = "/api/v1/namespaces/demo/services/frontend-preview:http/proxy/api"
    preview = json.loads(book.kubectl("get", "--raw", proxied))
    assert preview["colour"] == second and "error" not in preview, preview
    book.tell(f"{second}, version {preview['version']}, is ready and reaches the back end; only we can see it")
    figures: Figures = {}
    try:
        with book.visits(every=0.02, threads=3) as loop:
            eventually(lambda: len(loop.attempts) > 50, 20, "the first visitors")
            for colour in (second, first):
                figures[f"seconds until all were {colour}"] = switched(book, loop, colour)
                book.tell(f"all visitors are on {colour}: {counted(loop)}")
    finally:
        book.salt()
    assert book.live() == first
    none_failed(loop)
    assert loop.results[0][1]["colour"] == first == loop.results[-1][1]["colour"]
    return {**figures, "visitors": counted(loop)}


def switched(book: Guestbook, loop: Loop, colour: str) -> float:
    """Point the Service to a colour; return the seconds from then until the begin of the last visit to another one."""
    patch = json.dumps({"spec": {"selector": {"app": FRONTENDS[colour]}}})
    book.kubectl("patch", "service", "frontend", f"--patch={patch}")
    asked = time.monotonic()
    eventually(lambda: time.monotonic() > asked + SWITCHED_WITHIN, SWITCHED_WITHIN + 5, "visitors after the switch")
    visits = [(begin, reply["colour"]) for begin, reply in list(loop.results) if begin > asked]
    assert colour in {found for _, found in visits}, f"no visitor reached {colour}"
    late = [begin - asked for begin, found in visits if found != colour]
    slowest = max(late, default=0.0)
    assert slowest < SWITCHED_WITHIN - 1, f"a visitor still got the other one {slowest:.1f} s after the switch"
    return round(slowest, 2)


def tidy(book: Guestbook) -> Figures:
    """Salt finds nothing to change: the cluster is what its file describes."""
    book.salt()
    book.complete()
    left = book.salt(test=True)
    assert not left, f"Salt would still change {left}"
    return {"changes that Salt would make": 0}
