"""The lab: a KaaS installation with real machines (systemd containers by default) on one host.

``lab/lab`` is the only entry point; these modules are its parts. Pure parts (no process is started, no file outside
the arguments is read) are in ``cluster``, ``stamp``, ``leftovers`` and ``summary``, so that the unit tests can hold
them.
"""
