"""A node's state files rendered and compiled in this process, as its minion would, and what is wrong with the outcome."""

import contextlib
import copy
import inspect
import pathlib

import formula
import salt.state
from salt.state import STATE_INTERNAL_KEYWORDS

# State functions' parameters: of all nodes the same, and loading Salt's states for each takes longer than rendering.
PARAMETERS: dict = {}
# What Salt itself takes out of a state before it calls the function.
GLOBALS = set(STATE_INTERNAL_KEYWORDS) | {"__env__", "__sls__", "__id__", "order", "state", "fun", "name"}


class Node:
    """One minion: ``highstate()`` and ``alone(sls)`` return low chunks or raise AssertionError."""

    def __init__(self, folder, minion_id, pillar_root, branches, **options):
        opts = {**formula.options(folder, minion_id, pillar_root), **options}
        self.pillar = formula.compile_pillar(opts)
        refuse(self.pillar.get("_errors"))
        self._salt = formula.highstate(opts, self.pillar)
        self._branches, self._rendered = branches, {}

    @property
    def grains(self):
        """The node's grains, as the next rendering sees them."""
        return self._salt.opts["grains"]

    def highstate(self):
        """Return the low chunks of the whole highstate, and leave the formula's stamp as the run of it would."""
        with self._rendering():
            # `get_top` would take a top file that fails for an empty one.
            top = self._salt.merge_tops(self._salt.get_tops())
            chunks = self._compile(self._salt.top_matches(top))
        stamp = pathlib.Path(self._salt.opts["extension_modules"], "kaas-formula")
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(self.pillar["kaas"]["formula"])
        return chunks

    def alone(self, sls):
        """Return the low chunks of one state file with what it includes."""
        with self._rendering():
            return self._compile({"base": [sls]})

    def parameters(self, chunk):
        """Return the parameters of a chunk's state function, None when there is no such function."""
        name = f"{chunk['state']}.{chunk['fun']}"
        if name not in PARAMETERS:
            function = self._salt.state.states.get(name)
            PARAMETERS[name] = function and inspect.signature(inspect.unwrap(function)).parameters
        return PARAMETERS[name]

    def _compile(self, matches):
        # One HighState renders many times here; what it saw the last time must not count.
        self._salt.building_highstate = type(self._salt.building_highstate)()
        state = self._salt.state
        state._processed_sls_files.clear()
        high, errors = self._salt.render_highstate(matches)
        refuse(errors)
        if "__extend__" in high:
            high, errors = state.reconcile_extend(high)
            refuse(errors)
        refuse(state.verify_high(high))
        high, errors = state.requisite_in(high)
        refuse(errors)
        # Orders by requisites: one without a target and a loop among them are errors here.
        chunks, errors = state.compile_high_data(high)
        refuse(errors)
        return chunks

    @contextlib.contextmanager
    def _rendering(self):
        """Render each file of this node once, however many files include it, and record its branches."""
        original = salt.state.compile_template

        def compile_template(path, *args, **kwargs):
            if path not in self._rendered:
                with self._branches.file(path):
                    self._rendered[path] = original(path, *args, **kwargs)
            return copy.deepcopy(self._rendered[path])

        salt.state.compile_template = compile_template
        try:
            with self._branches.recorded():
                yield
        finally:
            salt.state.compile_template = original


def refuse(errors):
    """Raise AssertionError with Salt's list of errors, unless it is empty."""
    if errors:
        raise AssertionError("\n".join(errors))


def bad_calls(node, chunks):
    """Return chunks whose function does not exist or does not take their arguments."""
    problems = []
    for chunk in chunks:
        where = f"{chunk['__sls__']}: {chunk['__id__']}: {chunk['state']}.{chunk['fun']}"
        parameters = node.parameters(chunk)
        if parameters is None:
            problems.append(f"{where} does not exist")
            continue
        open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        # Salt's own states take more than they name; ours say what they take.
        if open_ended and not chunk["state"].startswith("kaas_"):
            continue
        given = {key for key in chunk if key not in GLOBALS and not key.startswith("__")}
        problems += [f"{where} takes no argument {key}" for key in sorted(given - parameters.keys())]
        needed = {
            key
            for key, parameter in parameters.items()
            if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        }
        problems += [f"{where} lacks the argument {key}" for key in sorted(needed - chunk.keys())]
    return problems
