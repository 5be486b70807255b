"""Exit of pool workers, which run no `atexit` hooks: `multiprocessing` and billiard (Celery).

Forked children of `multiprocessing` ran finalizers of its own only, before Python 3.14. Workers of billiard's pools, which are
Celery's, end by ``os._exit`` without even those, at a warm shutdown and when they are recycled; so their last step is wrapped. Nothing is
imported here: a library that has not been imported has no children.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radiosonde._pipeline.process_exit import ProcessExit


def deliver_before_pools_end(leaving: ProcessExit) -> None:
    """If this is a child of a pool, deliver before it ends. Again is nothing."""
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        _finalize_once("multiprocessing.util", os.getpid(), leaving)
    process, pool = sys.modules.get("billiard.process"), sys.modules.get("billiard.pool")
    if process is not None and process.current_process()._parent_pid == os.getppid():  # noqa: SLF001 - has no public name
        _finalize_once("billiard.util", os.getpid(), leaving)
        if pool is not None:
            _deliver_before_exit(pool.Worker, leaving)


@functools.lru_cache(maxsize=2)
def _finalize_once(util: str, pid: int, leaving: ProcessExit) -> None:  # noqa: ARG001 - a child of a child registers again
    sys.modules[util].Finalize(None, leaving.act, exitpriority=0)


def _deliver_before_exit(worker: Any, leaving: ProcessExit) -> None:
    end = worker._do_exit  # noqa: SLF001 - there is no other place
    if getattr(end, "delivers", False):
        return

    @functools.wraps(end)
    def deliver_and_end(*args: Any, **kwargs: Any) -> None:
        leaving.act()
        end(*args, **kwargs)

    deliver_and_end.delivers = True  # type: ignore[attr-defined]
    worker._do_exit = deliver_and_end  # noqa: SLF001
