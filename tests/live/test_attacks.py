"""Root on a worker, through Salt: every attack fails against the documented set-up, and succeeds where its guard is missing."""

import re
import time

import pytest
from attacks import ATTACKS, text


def eventually(check, seconds=15):
    """True as soon as `check()` is; what a master's other processes do takes a moment."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_fails(documented, attack):
    documented.begin()
    answer = attack.run(documented)
    assert re.search(attack.refused, text(answer), re.DOTALL), text(answer)[:1500]
    assert not attack.loot(documented, answer)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_succeeds_where_its_guard_is_missing(weak, attack):
    weak.begin()
    answer = attack.run(weak)
    assert eventually(lambda: attack.loot(weak, answer)), text(answer)[:1500]


def test_nothing_of_it_happened_later(documented, salt):
    """All attacks behind us, the minions answer, and no forbidden command ever ran."""
    assert salt.run("ca", "test.ping") is True
    assert not documented.proof("command").exists()
