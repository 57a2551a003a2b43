"""The one exception whose text is meant for the person at the terminal."""


class BuildError(Exception):
    """Something the user can mend; the text names the place and the fix."""
