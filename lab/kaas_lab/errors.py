"""Errors that a person running the lab can act on."""


class LabError(Exception):
    """Stops the command; the message names the place and the fix and is printed without a traceback."""
