"""The formula's modules and states in Salt's own loader, each with its own pillar and options, without a minion."""

import itertools
import pathlib

import salt._logging.impl
import salt.config
import salt.loader

ROOT = pathlib.Path(__file__).resolve().parent.parent
COUNTER = itertools.count()

# Without a configured log Salt keeps all records to print them at exit, when pytest has closed the streams.
salt._logging.impl.shutdown_temp_handler()


class Loaded:
    """
    ``.modules`` and ``.states`` (``"kaas_pki.certificates"`` -> function) of a minion with this pillar.

    ``.context`` is what states leave for each other during a run.
    only: names of the modules and states to load. fakes: execution functions that stand in for Salt's (``{"publish.publish": f}``).
    tools: the same for functions of ``_utils`` (``{"kaas_cri.pods": f}``). Other keywords are minion options, for example ``test=True``.
    """

    def __init__(self, pillar, only, fakes=None, tools=None, **options):
        opts = salt.config.DEFAULT_MINION_OPTS.copy()
        opts.update(
            id="m1.demo", test=False, file_client="local", module_dirs=[str(ROOT / "salt")], pillar=pillar, grains={}
        )
        opts.update(options)
        self.opts = opts
        # A name of their own: Salt shares module objects, and with them the options, between loaders of one name.
        base = f"kaas.loaded{next(COUNTER)}"
        utils = salt.loader.utils(opts, loaded_base_name=base)
        for name, function in (tools or {}).items():
            utils[name] = function
        self.modules = salt.loader.minion_mods(opts, utils=utils, whitelist=list(only), loaded_base_name=base)
        functions = Functions(self.modules, fakes or {})
        self.context = {}
        self.states = salt.loader.states(
            opts, functions, utils, None, whitelist=list(only), context=self.context, loaded_base_name=base
        )


class Functions(dict):
    """Execution functions with some replaced."""

    def __init__(self, real, fakes):
        super().__init__(fakes)
        self._real = real

    def __missing__(self, name):
        return self._real[name]

    def __contains__(self, name):
        return dict.__contains__(self, name) or name in self._real
