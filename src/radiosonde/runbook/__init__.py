"""Runbooks of incidents: what was found, its impact, and the commands that contain it, verify the fix and roll back.

A runbook is made from a diagnosis, from `radiosonde.toml` and from the texts by kind in `radiosonde.assets.subjects`. Everything here is a
function from values to values: the command line reads the store and writes the pages.
"""

from radiosonde.runbook.lint import LintReport, lint
from radiosonde.runbook.making import RunbookContext, causes_of, make_prepared, make_runbook
from radiosonde.runbook.markdown import render
from radiosonde.runbook.runbook import Runbook

__all__ = ["LintReport", "Runbook", "RunbookContext", "causes_of", "lint", "make_prepared", "make_runbook", "render"]
