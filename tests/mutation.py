"""
Mutation check: small faults are put into a module, one at a time, and the module's unit tests must notice.

The faults are cosmic-ray's. Its own way to run tests (one process each, the file changed on the disk) takes 3 s per fault
here, mostly for imports; this one forks a process that has them, and hands the changed module to the tests in memory: what
imports it sees the fault, what goes through Salt's loader does not, and counts for nothing here.

    build/mutation-venv/bin/python tests/mutation.py [MODULE ...] [--every N]

prints the score of each module and the faults that nobody noticed, as ``file:line: before -> after``.
"""

import argparse
import importlib
import os
import pathlib
import signal
import sys
import time
import types

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATHS = ["lab", "_utils", "tests", "artifacts"]
UNIT = "tests/unit/test_kaas_{}.py"
# module: what pytest runs for it
TESTS = {
    "kaas_checks": [UNIT.format("checks")],
    "kaas_schema": [UNIT.format("schema"), UNIT.format("checks")],
    "kaas_pki": [UNIT.format("pki"), "-k", "not state"],
    "kaas_topology": [UNIT.format("topology")],
}
# Of the faults that cosmic-ray can make, those that differ from each other: one per operator, not twelve.
REPLACED = (
    "BinaryOperator_Add_Sub", "BinaryOperator_Sub_Add", "BinaryOperator_Mul_FloorDiv", "BinaryOperator_FloorDiv_Mul",
    "BinaryOperator_Div_Mul", "BinaryOperator_Mod_Add", "BinaryOperator_Pow_Mul", "BinaryOperator_BitOr_BitAnd",
    "BinaryOperator_BitAnd_BitOr", "ComparisonOperator_Eq_NotEq", "ComparisonOperator_NotEq_Eq", "ComparisonOperator_Lt_LtE",
    "ComparisonOperator_Lt_GtE", "ComparisonOperator_LtE_Lt", "ComparisonOperator_LtE_Gt", "ComparisonOperator_Gt_GtE",
    "ComparisonOperator_Gt_LtE", "ComparisonOperator_GtE_Gt", "ComparisonOperator_GtE_Lt", "ComparisonOperator_Is_IsNot",
    "ComparisonOperator_IsNot_Is", "UnaryOperator_USub_UAdd", "UnaryOperator_Delete_Not", "TrueWithFalse", "FalseWithTrue",
    "AndWithOr", "OrWithAnd", "BreakWithContinue", "ContinueWithBreak",
)  # fmt: skip
OPERATORS = [
    *(f"core/Replace{name}" for name in REPLACED),
    "core/AddNot",
    "core/NumberReplacer",
    "core/RemoveDecorator",
    "core/ZeroIterationForLoop",
]
# Seconds for the tests of one fault; a loop without end is noticed by it.
LIMIT = 120


def faults(source):
    """Yield the source with one fault each, in an order that is always the same."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    for name in OPERATORS:
        for occurrence in range(10**6):
            changed = mutate_code(source, get_operator(name)(), occurrence)
            if changed is None:
                break
            yield changed


def described(path, before, after):
    """Return "file:line: before -> after" of the first line that differs."""
    for number, (old, new) in enumerate(zip(before.splitlines(), after.splitlines(), strict=False), 1):
        if old != new:
            return f"{path}:{number}: {old.strip()} -> {new.strip()}"
    return f"{path}: a line less"


def noticed(name, path, source, tests):
    """Return whether the tests fail (or do not end) with this source in place of the module's."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return status != 0
    import pytest

    signal.alarm(LIMIT)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        module = sys.modules[name] = types.ModuleType(name)
        module.__file__ = str(path)
        exec(compile(source, path, "exec"), module.__dict__)
        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests])))
    finally:
        os._exit(1)


def check(name, every):
    """Check one module; return ``(noticed, tried, texts of the others)``."""
    path = ROOT / "_utils" / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    if noticed(name, path, source, TESTS[name]):
        raise SystemExit(f"{name}: its tests fail without any fault: pytest {' '.join(TESTS[name])}")
    tried, left = 0, []
    for number, changed in enumerate(faults(source)):
        if number % every:
            continue
        tried += 1
        if not noticed(name, path, changed, TESTS[name]):
            left.append(described(path.relative_to(ROOT), source, changed))
            print(left[-1], flush=True)
    return tried - len(left), tried, left


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    arguments.add_argument("modules", nargs="*", metavar="MODULE", help=f"of: {', '.join(TESTS)} (default: all)")
    arguments.add_argument("--every", type=int, default=1, metavar="N", help="try each Nth fault only")
    chosen = arguments.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT / folder) for folder in PATHS]
    # What takes long to import and is not under test.
    for name in (
        "pytest",
        "hypothesis",
        "yaml",
        "jsonschema",
        "cryptography.x509",
        "salt.pillar",
        "salt.state",
        "salt.loader",
    ):
        importlib.import_module(name)
    scores = []
    for name in chosen.modules or TESTS:
        began = time.monotonic()
        good, tried, _ = check(name, chosen.every)
        minutes = (time.monotonic() - began) / 60
        scores.append(f"{name}: {good} of {tried} noticed, {100 * good / tried:.0f} % ({minutes:.0f} min)")
        print(scores[-1], flush=True)
    print("\n".join(["", *scores]))


if __name__ == "__main__":
    main()
