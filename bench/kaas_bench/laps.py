"""A stopwatch with named laps."""

from __future__ import annotations

import threading
import time

from kaas_lab.ui import say


class Laps:
    """Seconds from its making to each note. Notes may come from several threads; each is printed at once."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.begin = time.monotonic()
        self.times: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, name: str) -> None:
        """Note that something was reached now."""
        with self._lock:
            self.times[name] = round(time.monotonic() - self.begin, 2)
            say(f"    {self.times[name]:7.1f} s  {self.title}: {name}")
