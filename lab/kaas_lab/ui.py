"""What the lab prints: one line when a step starts, one when it ends, with its duration."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_started = time.monotonic()


def say(text: str) -> None:
    """Print a line at once (also when standard output is a pipe)."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Print a line to standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, then say how long it took (in seconds) or that it failed."""
    begin = time.monotonic()
    say(f"==> {title}")
    try:
        yield
    except BaseException:
        warn(f"    FAILED after {time.monotonic() - begin:.1f} s: {title}")
        raise
    say(f"    {time.monotonic() - begin:.1f} s")


def total() -> float:
    """Seconds since this command began."""
    return time.monotonic() - _started
