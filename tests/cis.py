"""
The CIS Kubernetes Benchmark as a table, tests/lab/cis.yaml: how a row is judged, and how it reads in docs/hardening.md.

The evidence of one node is ``{files: {path: [mode in octal, "user:group"]}, arguments: {program: [argument]}, settings: {source: document}}``,
all of it from the running node. ``make reference`` writes the table of docs/hardening.md anew.
"""

import fnmatch
import pathlib

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests" / "lab" / "cis.yaml"
PAGE = ROOT / "docs" / "hardening.md"
BEGIN, END = "<!-- controls: written by tests/cis.py from tests/lab/cis.yaml -->\n", "<!-- end of controls -->\n"
KINDS = ("file", "argument", "setting", "rights", "pod", "look")
NODES = ("masters", "etcd", "kubelets", "cluster")

PROGRAMS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"]
# Where a setting is read: the file that the running program was told on its command line. The kubelet and kube-proxy are asked themselves.
SETTINGS = {"etcd": ("etcd", "--config-file"), "authentication": ("kube-apiserver", "--authentication-config")}

# Runs in a node: argv is {paths: [glob], programs: [unit], settings: {source: [unit, flag]}} as JSON.
COLLECT = r"""
import glob, grp, json, os, pwd, stat, subprocess, sys
wanted = json.loads(sys.argv[1])
files, arguments, settings = {}, {}, {}
def name(table, field, number):
    try:
        return getattr(table(number), field)
    except KeyError:
        return str(number)
for pattern in wanted["paths"]:
    for path in glob.glob(pattern):
        found = os.stat(path)
        owner = name(pwd.getpwuid, "pw_name", found.st_uid) + ":" + name(grp.getgrgid, "gr_name", found.st_gid)
        files[path] = ["%04o" % stat.S_IMODE(found.st_mode), owner]
for unit in wanted["programs"]:
    pid = subprocess.run(["systemctl", "show", "-p", "MainPID", "--value", unit], capture_output=True, text=True).stdout.strip()
    if pid not in ("", "0"):
        arguments[unit] = open(f"/proc/{pid}/cmdline").read().split("\0")[1:-1]
for source, (unit, flag) in wanted["settings"].items():
    for argument in arguments.get(unit, []):
        if argument.startswith(flag + "="):
            settings[source] = open(argument.partition("=")[2]).read()
print(json.dumps({"files": files, "arguments": arguments, "settings": settings}))
"""


def load():
    """Return the rows of the table."""
    return yaml.safe_load(TABLE.read_text(encoding="utf-8"))


def kind(row):
    """Return what kind of check a row has, None when it has none."""
    return next((name for name in KINDS if name in row), None)


def wanted():
    """Return what the collector is asked for: ``{paths, programs, settings}``."""
    rows = load()
    return {
        "paths": sorted({path for row in rows for path in row.get("file", {}).get("paths", [])}),
        "programs": PROGRAMS,
        "settings": {source: list(place) for source, place in SETTINGS.items()},
    }


def problems(row, evidence):
    """Return what is wrong with one node, as a list of texts, for a row whose kind is file, argument or setting."""
    judge = {"file": _file, "argument": _argument, "setting": _setting}[kind(row)]
    return list(judge(row[kind(row)], evidence))


def _file(check, evidence):
    matched = {pattern: fnmatch.filter(evidence["files"], pattern) for pattern in check["paths"]}
    for pattern, paths in matched.items():
        # Not every node has each kind of file (a master without etcd), but some must be there.
        if not paths and ("*" not in pattern or not any(matched.values())):
            yield f"{pattern} does not exist"
        for path in paths:
            mode, owner = evidence["files"][path]
            if int(mode, 8) & ~int(check.get("mode", "7777"), 8):
                yield f"{path} has mode {mode}, more than {check['mode']}"
            if owner != check.get("owner", owner):
                yield f"{path} belongs to {owner}, not {check['owner']}"


def _argument(check, evidence):
    if check["of"] not in evidence["arguments"]:
        yield f"{check['of']} does not run"
        return
    for flag in _list(check["flag"]):
        given = [text.partition("=") for text in evidence["arguments"][check["of"]]]
        values = [value for name, _, value in given if name == flag]
        yield from _compared(f"{check['of']} {flag}", check, values[-1] if values else None)


def _setting(check, evidence):
    if check["of"] not in evidence["settings"]:
        yield f"{check['of']} shows no settings"
        return
    for path in _list(check["path"]):
        found = evidence["settings"][check["of"]]
        for key in path.split("."):
            found = (found or {}).get(key)
        yield from _compared(f"{check['of']} {path}", check, found)


def _compared(what, check, found):
    """Yield why `found` (None: not set) is not what a check wants."""
    values = found.split(",") if isinstance(found, str) else _list(found)
    if check.get("set", found is not None) != (found is not None):
        yield f"{what} is {'not set' if found is None else 'set'}"
    if "is" in check and found != check["is"]:
        yield f"{what} is {found!r}, not {check['is']!r}"
    if "is_not" in check and found == check["is_not"]:
        yield f"{what} is {found!r}"
    if missing := [value for value in check.get("has", []) if value not in values]:
        yield f"{what} lacks {missing}"
    if unwanted := [value for value in check.get("has_not", []) if value in values]:
        yield f"{what} has {unwanted}"
    if "only" in check and (unknown := [value for value in values if value not in check["only"]]):
        yield f"{what} has {unknown}"
    if "at_least" in check and (found is None or float(found) < check["at_least"]):
        yield f"{what} is {found}, less than {check['at_least']}"


def subjects(check, roles, bindings):
    """
    Return who may do, in the whole cluster, any of the check's verbs to any of its resources (``NAME[/SUBRESOURCE][.GROUP]``).

    roles, bindings: ClusterRole and ClusterRoleBinding objects. Subjects are ``KIND:NAME``, service accounts with their namespace before the name.
    """
    rules = {role["metadata"]["name"]: role.get("rules") or [] for role in roles}
    found = set()
    for binding in bindings:
        if any(_allows(rule, check) for rule in rules.get(binding["roleRef"]["name"], [])):
            for subject in binding.get("subjects") or []:
                parts = (subject.get(key) for key in ("kind", "namespace", "name"))
                found.add(":".join(part for part in parts if part))
    return found


def _allows(rule, check):
    if rule.get("resourceNames"):
        return False
    for resource in check["resources"]:
        name, _, group = resource.partition(".")
        subresource = name.partition("/")[2]
        names = {name, "*", *([f"*/{subresource}"] if subresource else [])}
        wanted = (names, "resources"), ({group, "*"}, "apiGroups"), ({*check["verbs"], "*"}, "verbs")
        if all(some & set(rule.get(key, [])) for some, key in wanted):
            return True
    return False


def markdown(rows):
    """Return the rows as the tables of docs/hardening.md."""
    chapters = {"1": "Control plane", "2": "etcd", "3": "Control-plane configuration", "4": "Nodes", "5": "Policies"}
    lines, chapter = [], ""
    for row in rows:
        number = str(row["control"])
        if number[0] != chapter:
            chapter = number[0]
            lines += ["", f"### {chapter} {chapters[chapter]}", ""]
            lines += ["| control | what must hold | here |", "|---|---|---|"]
        if "reason" in row:
            verdict = f"not checked. {row['reason']}"
        elif "differs" in row:
            verdict = f"**differs**, tested. {row['differs']}"
        else:
            verdict = "passes"
        lines.append(f"| {number} | {row['title']} | {verdict} |")
    return "\n".join(lines[1:]) + "\n"


def page(text, rows):
    """Return the page `text` with the tables in it written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown(rows)}\n{END}{after}"


def _list(value):
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), load()), encoding="utf-8")
