"""Which branches of the state files' Jinja a run has taken: the syntax tree is changed while Jinja compiles it.

Each test of an `if`, `elif`, conditional expression or loop filter counts twice (true and false), each body of a loop
or macro once. A branch is ``(file, line, what)``.
"""

import contextlib
import pathlib
from collections.abc import Iterator

import jinja2
from jinja2 import nodes


class Branches:
    """``known``: branches of all files compiled so far; ``taken``: those of them that a rendering went through."""

    def __init__(self, *roots):
        self.roots = [pathlib.Path(root) for root in roots]
        self.known, self.taken = set(), set()
        self._file = None

    def missed(self):
        """Return the branches never taken as sorted texts: "etcd/running.sls:12: if is never false"."""
        return [f"{file}:{line}: {what}" for file, line, what in sorted(self.known - self.taken)]

    @contextlib.contextmanager
    def file(self, path):
        """Name the file that is rendered now: Salt hands Jinja a text without a name."""
        path = pathlib.Path(path)
        inside = [path.relative_to(root) for root in self.roots if path.is_relative_to(root)]
        before, self._file = self._file, str(inside[0] if inside else path)
        try:
            yield
        finally:
            self._file = before

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Record what is rendered meanwhile."""
        environment = jinja2.Environment
        parse = environment._parse

        def parse_and_mark(env, source, name, filename):
            tree = parse(env, source, name, filename)
            if self._file:
                self._mark(tree)
            return tree

        environment._parse = parse_and_mark
        # Marked nodes reach these as attributes of the environment, which no template can name.
        environment.branch_body, environment.branch_test = staticmethod(self._body), staticmethod(self._test)
        try:
            yield
        finally:
            environment._parse = parse
            del environment.branch_body, environment.branch_test

    def _mark(self, tree):
        for node in list(tree.find_all((nodes.If, nodes.CondExpr, nodes.For, nodes.Macro))):
            if isinstance(node, (nodes.If, nodes.CondExpr)):
                kind = "if" if isinstance(node, nodes.If) else "conditional expression"
                node.test = self._call("branch_test", node, kind, node.test)
            else:
                kind = "loop" if isinstance(node, nodes.For) else f"macro {node.name}"
                self.known.add((self._file, node.lineno, f"{kind} is never entered"))
                marker = self._call("branch_body", node, kind)
                node.body.insert(0, nodes.ExprStmt(marker, lineno=node.lineno))
            if isinstance(node, nodes.For) and node.test is not None:
                node.test = self._call("branch_test", node, "loop filter", node.test)
        tree.set_environment(tree.environment)

    def _call(self, attribute, node, kind, *test):
        place = [nodes.Const(value, lineno=node.lineno) for value in (self._file, node.lineno, kind)]
        if test:
            for outcome in ("true", "false"):
                self.known.add((self._file, node.lineno, f"{kind} is never {outcome}"))
        function = nodes.EnvironmentAttribute(attribute, lineno=node.lineno)
        return nodes.Call(function, [*place, *test], [], None, None, lineno=node.lineno)

    def _body(self, file, line, kind):
        self.taken.add((file, line, f"{kind} is never entered"))

    def _test(self, file, line, kind, value):
        outcome = bool(value)  # raises for an undefined value, as Jinja itself would
        self.taken.add((file, line, f"{kind} is never {str(outcome).lower()}"))
        return outcome
