"""Imports that a fork waits for: those begun by Radiosonde in another thread."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
from radiosonde._pipeline.importing import imports_of_ours
assert not imports_of_ours()
thread = threading.Thread(target=BEGIN)
thread.start()
assert begun.wait(60)
print(sorted(imports_of_ours()))
go_on.set()
thread.join()
assert not imports_of_ours()
"""


def seen(name: str, begin: str) -> str:
    """Return the result of `imports_of_ours` while another thread that runs *begin* imports *name*."""
    script = SLOW.replace("NAME", repr(name)).replace("BEGIN", begin)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_import_of_ours_is_seen() -> None:
    """Of a library, by a function of Radiosonde, in another thread; and no longer when it is over."""
    begin = "__import__('radiosonde.sketches.library', fromlist=['x']).library"
    assert seen("datasketches", begin) == "['datasketches']"


def test_an_import_of_the_hosts_own_is_not() -> None:
    """A server that is run by an import would make every fork wait."""
    assert seen("servers_own", "lambda: __import__('servers_own')") == "[]"


FORKED = """
import importlib.abc, importlib.machinery, os, signal, sys, threading
import radiosonde as rs
begun, go_on = threading.Event(), threading.Event()
parent = os.getpid()
class Slow(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name in NAMES else None
    def create_module(self, spec): return None
    def exec_module(self, module):
        if os.getpid() == parent and module.__name__ == NAMES[-1]:
            begun.set()
            assert go_on.wait(100)
        elif module.__name__ != NAMES[-1]:
            __import__(NAMES[NAMES.index(module.__name__) + 1])
        module.answer = 42
sys.meta_path.insert(0, Slow())
rs.start(store=sys.argv[1])
predict = rs.observe("m")(lambda row: 0.5)
predict([1.0])
assert rs.flush(60)
exec(compile("def ask(): return __import__(NAMES[0]).answer", rs.__file__, "exec"))  # an import that a file of ours begins
thread = threading.Thread(target=ask)
thread.start()
assert begun.wait(60)
child = os.fork()
if not child:
    signal.alarm(90)  # a child that waits for a lock nobody holds ends by it
    assert [__import__(name).answer for name in NAMES] == [42] * len(NAMES)
    predict([2.0])
    os._exit(0 if rs.flush(60) and rs.statistics().records == 1 else 1)
status = os.waitpid(child, 0)[1]
go_on.set()
thread.join()
assert ask() == 42
print(status, rs.statistics().losses["fork_unheld"])
rs.shutdown()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("names", [["slow_one"], ["outer", "inner"], ["a", "b", "c"]], ids=["one", "nested", "deep"])
def test_a_fork_does_not_wait_for_an_import_that_does_not_end(tmp_path, names: list[str]) -> None:
    """It is counted, and the child imports the modules itself that its parent's thread was inside; so does the parent."""
    script = FORKED.replace("NAMES", repr(names))
    command = [sys.executable, "-c", script, str(tmp_path / "store.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "1"], done.stderr
