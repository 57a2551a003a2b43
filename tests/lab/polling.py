"""Waiting and request loops: the lab's own (``lab/kaas_lab/polling.py``), which tells the demo's story with them too."""

from kaas_lab.polling import DIRECT, Attempt, Loop, NotYet, eventually, fetch, get, timed, verifying

__all__ = ["DIRECT", "Attempt", "Loop", "NotYet", "eventually", "fetch", "get", "timed", "verifying"]
