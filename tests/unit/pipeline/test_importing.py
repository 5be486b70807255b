"""Imports that a fork waits for: those that a module of ours began, in another thread."""

from __future__ import annotations

import subprocess
import sys

SLOW = """
import importlib.abc, importlib.machinery, os, sys, threading, time
begun, go_on = threading.Event(), threading.Event()
class Slow(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == NAME else None
    def create_module(self, spec): return None
    def exec_module(self, module):
        begun.set()
        go_on.wait(60)
sys.meta_path.insert(0, Slow())
from radiosonde._pipeline.importing import is_importing
assert not is_importing()
thread = threading.Thread(target=BEGIN)
thread.start()
assert begun.wait(60)
print(is_importing())
go_on.set()
thread.join()
assert not is_importing()
"""


def seen(name: str, begin: str) -> str:
    """Return what `is_importing` says while another thread that runs *begin* imports *name*."""
    script = SLOW.replace("NAME", repr(name)).replace("BEGIN", begin)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_import_of_ours_is_seen() -> None:
    """Of a library, by a function of ours, in another thread; and no longer when it is over."""
    begin = "__import__('radiosonde.sketches.library', fromlist=['x']).library"
    assert seen("datasketches", begin) == "True"


def test_an_import_of_the_hosts_own_is_not() -> None:
    """A server that is run by an import would make every fork wait."""
    assert seen("servers_own", "lambda: __import__('servers_own')") == "False"
