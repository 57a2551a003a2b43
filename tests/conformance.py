#!/usr/bin/env python3
"""
The conformance tests of the Kubernetes release, run on a cluster of the lab; what passed is kept and told in docs/conformance.md.

    artifacts/build --with conformance          the tests and their images, once
    tests/conformance.py run                    all but what tests/lab/conformance.yaml leaves out; writes the record
    tests/conformance.py run --focus '...' --record   some of them, into the record
    tests/conformance.py run --only quick       the short selection of tests/lab/test_95_conformance.py
    tests/conformance.py page                   write the tables of docs/conformance.md from the record (`make reference`)

The record, tests/lab/conformance-record.yaml, is ``{kubernetes, cluster, note, specs: {name: passed | failed | left out | not run}}``. Names are those of the tests.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as xml

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests" / "lab" / "conformance.yaml"
RECORD = ROOT / "tests" / "lab" / "conformance-record.yaml"
PAGE = ROOT / "docs" / "conformance.md"
BUILD = (ROOT / "build").resolve()  # ginkgo takes a link in its working folder for a folder
BEGIN, END = "<!-- conformance: written by tests/conformance.py -->\n", "<!-- end of conformance -->\n"
CONFORMANCE = r"\[Conformance\]"
PROCESSES = 3  # the tests mostly wait
HOURS = 2  # more than any honest run: a hang ends


def load(path=TABLE):
    """Return a YAML file's content."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def repository(artifacts=None):
    """Return {version: folder} of the conformance programs that are built."""
    folders = (artifacts or BUILD / "artifacts" / "conformance").glob("*/linux-*")
    return {folder.parent.name: folder for folder in folders if (folder / "e2e.test").is_file()}


def patterns(table, only=None):
    """
    Return (focus, skip): regular expressions for ginkgo.

    ``only``: the name of a list of patterns in the table; default every conformance test. What is left out, is so in both cases.
    """
    chosen = "|".join(f"({pattern}).*{CONFORMANCE}" for pattern in table[only]) if only else CONFORMANCE
    return chosen, "|".join(f"({entry['match']})" for entry in table["left_out"])


def command(folder, kubeconfig, focus, skip, report, processes=PROCESSES, workers=2):
    """
    Return the command line that runs the tests; ginkgo runs those marked [Serial] alone, after the others.

    ``folder`` holds ginkgo and e2e.test; ``report``: the junit file; ``workers``: nodes that take ordinary pods.
    """
    return [
        str(folder / "ginkgo"), f"--procs={processes}", "--no-color", f"--timeout={HOURS}h", "--silence-skips", f"--focus={focus}",
        *([f"--skip={skip}"] if skip else []), "--keep-going", f"--output-dir={report.parent}", f"--junit-report={report.name}",
        str(folder / "e2e.test"), "--", "--provider=skeleton", f"--kubeconfig={kubeconfig}", f"--num-nodes={workers}",
        "--allowed-not-ready-nodes=0", "--disable-log-dump",
    ]  # fmt: skip


def outcomes(junit):
    """
    Return {name of a conformance test: (status, seconds, message)} of a junit report's text.

    status: ``passed``, ``failed`` (also timed out, panicked, interrupted) or ``skipped``.
    """
    found = {}
    for case in xml.fromstring(junit).iter("testcase"):
        name = case.get("name", "")
        if not name.startswith("[It] ") or "[Conformance]" not in name:
            continue
        status = case.get("status", "")
        if status not in ("passed", "skipped"):
            status = "failed"
        problem = next((part for tag in ("failure", "error") for part in case.iter(tag)), None)
        text = "" if problem is None else (problem.get("message") or problem.text or "")
        found[plain(name)] = (status, float(case.get("time", 0)), text.strip()[:300])
    return found


def plain(name):
    """Return a test's name without ginkgo's word for its kind and without its labels at the end."""
    return re.sub(r"(\s*\[[^\]]*\])+$", "", name.removeprefix("[It] ")).strip()


def judged(found, left_out):
    """
    Return {name: passed | failed | left out | not run} for all tests of a report; "not run": skipped, and no entry says why.

    Raises ValueError for an entry that fits no test: a list that outlives its reasons.
    """
    result = {}
    unused = {entry["match"] for entry in left_out}
    for name, (status, _, _) in found.items():
        entry = next((one for one in left_out if re.search(one["match"], name)), None)
        if entry:
            unused.discard(entry["match"])
        result[name] = status if status != "skipped" else "left out" if entry else "not run"
    if unused:
        raise ValueError(f"{TABLE.name}: fits no test: {', '.join(sorted(unused))}")
    return dict(sorted(result.items()))


def merged(specs, found):
    """Return the specs of a record with what another run found out: tests that it skipped keep what was known."""
    return {**specs, **{name: status for name, (status, _, _) in found.items() if status != "skipped"}}


def group(name):
    """Return the special interest group in a test's name."""
    match = re.match(r"\[(sig-[a-z-]+)\]", name)
    return match.group(1) if match else "other"


def tables(record, table):
    """Return the Markdown of the record: counts per group, then what is left out and what failed, each with its reason."""
    counts = collections.defaultdict(collections.Counter)
    for name, status in record["specs"].items():
        counts[group(name)][status] += 1
    total = sum(counts.values(), collections.Counter())
    lines = ["| group | tests | passed | failed | left out | not run |", "|---|---|---|---|---|---|"]
    for name, count in [*sorted(counts.items()), ("**all**", total)]:
        kinds = [count[kind] for kind in ("passed", "failed", "left out", "not run")]
        lines.append(f"| {name} | {' | '.join(map(str, [sum(count.values()), *kinds]))} |")
    for status, title in (("left out", "Left out"), ("failed", "Failed")):
        names = [name for name, found in record["specs"].items() if found == status]
        if names:
            lines += ["", f"**{title}**", "", "| test | reason |", "|---|---|"]
            lines += [f"| {name.replace('|', '-')} | {reason(name, table)} |" for name in names]
    return "\n".join([f"Kubernetes {record['kubernetes']}, {record['cluster']}. {record.get('note', '')}".strip(), "", *lines]) + "\n"


def reason(name, table):
    """Return the table's reason for a test that was left out or failed."""
    entries = [*table["left_out"], *table.get("failed", [])]
    return next((entry["reason"] for entry in entries if re.search(entry["match"], name)), "not explained")


def page(text, record, table):
    """Return the page's text with the tables between the marks written anew."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + tables(record, table) + END + rest.split(END)[1]


def run(folder, kubeconfig, report, focus, skip, processes=PROCESSES, limit=HOURS * 3600):
    """Run the tests, output into ``report``'s folder; return the junit text. Ends them and what they started after ``limit`` seconds."""
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    log = report.with_suffix(".log")
    # kubectl is started by some tests; the release's own, not one that happens to be in PATH
    path = f"{kubectl_folder(folder)}:{os.environ['PATH']}"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command(folder, kubeconfig, focus, skip, report, processes), stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": path}, cwd=report.parent, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(timeout=limit)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)
            raise
    if not report.is_file():
        raise RuntimeError(f"no report; the end of {log}:\n" + log.read_text(encoding="utf-8", errors="replace")[-1500:])
    return report.read_text(encoding="utf-8")


def kubectl_folder(folder):
    """Return the folder of the kubectl that belongs to the tests in ``folder`` (conformance/<version>/<platform>)."""
    return folder.parent.parent.parent / "kubernetes" / folder.parent.name / folder.name


def main(argv=None):
    """Entry point; 1 when a test failed."""
    parser = argparse.ArgumentParser(prog="tests/conformance.py", description=__doc__.splitlines()[1])
    parser.add_argument("action", choices=["run", "page"])
    parser.add_argument("--cluster", default="demo")
    parser.add_argument("--only", help="a list of patterns in tests/lab/conformance.yaml")
    parser.add_argument("--focus", help="a regular expression instead")
    parser.add_argument("--record", action="store_true", help="put what --only or --focus found into the record of the last whole run")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--version", help="of the tests; default: the one that is built")
    args = parser.parse_args(argv)
    table = load()
    if args.action == "page":
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), load(RECORD), table), encoding="utf-8")
        return 0
    built = repository()
    if not built or args.version not in (None, *built):
        print("the tests are not built: artifacts/build --with conformance", file=sys.stderr)
        return 1
    version = args.version or sorted(built)[0]
    focus, skip = patterns(table, args.only)
    report = BUILD / "conformance" / f"{args.only or ('focus' if args.focus else 'all')}.xml"
    kubeconfig = BUILD / "lab" / args.cluster / "kubeconfig"
    found = outcomes(run(built[version], kubeconfig, report, args.focus or focus, skip, args.processes))
    for name, (status, seconds, message) in sorted(found.items()):
        if status != "skipped":
            print(f"{status:7} {seconds:6.1f} s  {name}" + (f"\n        {message}" if message else ""))
    ran = [status for status, _, _ in found.values() if status != "skipped"]
    print(json.dumps(collections.Counter(ran)))
    if args.record or not (args.only or args.focus):
        if args.only or args.focus:
            record = load(RECORD)
            record["specs"] = merged(record["specs"], found)
        else:
            record = {"kubernetes": version, "cluster": f"cluster {args.cluster} of the lab", "specs": judged(found, table["left_out"])}
        RECORD.write_text(yaml.safe_dump(record, sort_keys=False, width=200), encoding="utf-8")
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), record, table), encoding="utf-8")
    return 1 if "failed" in ran or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
