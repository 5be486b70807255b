"""Test reports that can be sent from one process to another: loaded by pytest as a plug-in (pyproject.toml)."""

from __future__ import annotations

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send what was captured as valid UTF-8: a worker that reports half a character, which a test may log, ends at once."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report
