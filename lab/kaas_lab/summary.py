"""What a highstate's JSON returns say: counts per node, and which states failed and why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

REQUISITE = "One or more requisite failed"
BUSY = re.compile(r'The function "state\.\w+" is running as PID')
UNIT = re.compile(r"\b([A-Za-z0-9@_.-]+\.(?:service|mount|path|socket|timer))\b")


@dataclass(frozen=True)
class Failure:
    """One failed state.

    `function` is module.function; the sls is empty for errors that are not a state's (rendering, no return).
    """

    node: str
    id: str
    sls: str
    function: str
    comment: str
    name: str = ""

    def units(self) -> list[str]:
        """systemd units that the failure may be about: named in the comment, or like the state's name or id."""
        found = UNIT.findall(self.comment)
        for word in (self.name, self.id):
            if re.fullmatch(r"[A-Za-z0-9@_.-]+", word):
                found.append(word)
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Count:
    """States of one node: how many ran, changed something, failed."""

    total: int
    changed: int
    failed: int


def documents(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in the output of `salt --out=json`, one per minion, whatever stands between them."""
    decoder = json.JSONDecoder()
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except ValueError:
            end = position + 1
        else:
            if isinstance(value, dict):
                yield value
        position = text.find("{", end)


def merged(text: str) -> dict[str, Any]:
    """minion id -> return, from the output of `salt --out=json` (with or without --static)."""
    result: dict[str, Any] = {}
    for document in documents(text):
        result.update(document)
    return result


def count(value: Any) -> Count:
    """Counts of one node's return; anything but a mapping of states counts as one failure."""
    states = _states(value)
    if states is None:
        return Count(0, 0, 1)
    return Count(
        len(states),
        sum(bool(state.get("changes")) for state in states.values()),
        sum(state.get("result") is False for state in states.values()),
    )


def failures(returns: dict[str, Any]) -> list[Failure]:
    """The failures that explain the others: states that failed themselves, not for a requisite; errors of a whole
    node.
    """
    found = []
    for node, value in sorted(returns.items()):
        states = _states(value)
        if states is None:
            text = "\n".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append(Failure(node, "highstate", "", "", text))
            continue
        for key, state in sorted(states.items(), key=lambda item: item[1].get("__run_num__", 0)):
            comment = str(state.get("comment", ""))
            if state.get("result") is not False or comment.startswith(REQUISITE):
                continue
            parts = [*key.split("_|-"), "", "", "", ""][:4]
            found.append(
                Failure(
                    node,
                    str(state.get("__id__") or parts[1]),
                    str(state.get("__sls__") or ""),
                    f"{parts[0]}.{parts[3]}",
                    comment,
                    str(state.get("name") or parts[2]),
                )
            )
    return found


def busy(returns: dict[str, Any]) -> list[str]:
    """Minions that refused because a state function of an earlier call still runs there."""
    return sorted(
        node
        for node, value in returns.items()
        if isinstance(value, list) and any(BUSY.search(str(line)) for line in value)
    )


def missing(returns: dict[str, Any], expected: list[str]) -> list[str]:
    """Minions that did not return at all."""
    return sorted(set(expected) - set(returns))


def _states(value: Any) -> dict[str, dict[str, Any]] | None:
    if (
        isinstance(value, dict)
        and value
        and all(isinstance(state, dict) and "result" in state for state in value.values())
    ):
        return value
    return None
