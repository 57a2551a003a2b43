"""Shared by all tests. The import paths stand in pyproject.toml (tool.pytest.ini_options.pythonpath)."""

import formula
import pytest


@pytest.fixture
def minion_opts(tmp_path):
    """Options of a masterless minion that has the formula, for Salt's own loader."""
    return formula.options(tmp_path, "m1.demo")
