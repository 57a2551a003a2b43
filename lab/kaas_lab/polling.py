"""Waiting for a state of the world, and requests that go on while something happens."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .errors import LabError

# The lab is local: proxies of the environment must not be asked.
DIRECT = urllib.request.ProxyHandler({})


class NotYet(AssertionError):
    """What is waited for is not there yet; the text says what was found instead."""


def eventually(check: Callable[[], Any], timeout: float, message: str, every: float = 0.3) -> Any:
    """
    Call `check` until it returns something true, and return that.

    check: callable; an AssertionError, OSError or LabError in it counts as "not yet", its text goes into the failure.
    timeout: seconds. message: what was waited for. This is the only place of the lab tests that sleeps.
    """
    deadline = time.monotonic() + timeout
    last = "never true"
    while True:
        try:
            found = check()
            if found:
                return found
            last = f"last result: {found!r}"
        except (AssertionError, OSError, LabError, http.client.HTTPException) as error:
            last = f"last problem: {str(error)[:2000]}"
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for: {message}\n{last}")
        time.sleep(every)


def get(
    url: str, timeout: float = 3, context: ssl.SSLContext | None = None, body: bytes | None = None
) -> tuple[int, str]:
    """GET `url` (POST, with a body) on a new connection; return ``(status, text)``. OSError when there is no answer."""
    handlers: list[Any] = [DIRECT, *([urllib.request.HTTPSHandler(context=context)] if context else [])]
    try:
        with urllib.request.build_opener(*handlers).open(url, data=body, timeout=timeout) as reply:
            return reply.status, reply.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"{url}: broken answer: {error!r}") from error


def fetch(url: str, timeout: float = 3, context: ssl.SSLContext | None = None) -> str:
    """GET `url`; return the text of an answer 200. Raises OSError for anything else."""
    status, text = get(url, timeout, context)
    if status != 200:
        raise OSError(f"{url}: HTTP {status}: {text[:300]}")
    return text


def verifying(ca: str) -> ssl.SSLContext:
    """A TLS context that trusts the authority `ca` (PEM text) alone."""
    return ssl.create_default_context(cadata=ca)


@dataclass
class Attempt:
    """One call of a loop. Times are seconds of the monotonic clock."""

    begin: float
    end: float
    problem: str = ""


@dataclass
class Loop:
    """
    Calls `action` again and again in threads of its own, from entering the context until leaving it.

    action: callable that raises when it failed. every: seconds between the begins of two calls of one thread.
    """

    action: Callable[[], Any]
    every: float = 0.1
    threads: int = 1
    attempts: list[Attempt] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)

    def __enter__(self) -> Loop:
        self._stop = threading.Event()
        self._workers = [threading.Thread(target=self._run, daemon=True) for _ in range(self.threads)]
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.join(timeout=30)

    def _run(self) -> None:
        while not self._stop.is_set():
            attempt = Attempt(time.monotonic(), 0)
            try:
                self.results.append(self.action())
            except Exception as error:
                attempt.problem = f"{type(error).__name__}: {error}"[:500]
            attempt.end = time.monotonic()
            self.attempts.append(attempt)
            self._stop.wait(max(0, attempt.begin + self.every - attempt.end))

    @property
    def failed(self) -> list[Attempt]:
        """The attempts that failed."""
        return [attempt for attempt in list(self.attempts) if attempt.problem]

    def answered_since(self, moment: float) -> bool:
        """True when an attempt that began after `moment` (monotonic) succeeded."""
        return any(attempt.begin > moment and not attempt.problem for attempt in list(self.attempts))

    def longest_gap(self) -> float:
        """Seconds of the longest time without a success, counted from end to end of successes."""
        good = sorted(attempt.end for attempt in list(self.attempts) if not attempt.problem)
        assert good, f"no attempt of {len(self.attempts)} succeeded: {self.report()}"
        first, last = min(a.begin for a in self.attempts), max(a.end for a in self.attempts)
        moments = [first, *good, last]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    def report(self, limit: int = 5) -> str:
        """Text for assertion messages: how many attempts, how many failed, and the first problems."""
        failed = self.failed
        first = min((attempt.begin for attempt in self.attempts), default=0)
        shown = [f"  after {attempt.begin - first:.1f} s: {attempt.problem}" for attempt in failed[:limit]]
        return "\n".join([f"{len(failed)} of {len(self.attempts)} attempts failed", *shown])


@contextlib.contextmanager
def timed(what: str, seconds: float) -> Iterator[None]:
    """Fail when the body takes more than `seconds`."""
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    assert took <= seconds, f"{what} took {took:.1f} s, more than {seconds} s"
