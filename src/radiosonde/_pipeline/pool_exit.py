"""Exit of workers of billiard's pools, which are Celery's: they report their death to the parent before they end.

The parent may terminate a worker that has reported and has not ended, so the delivery that ``os._exit`` brings would come too late. Their last step,
which reports, is therefore wrapped. Nothing is imported here: a library that has not been imported has no children.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radiosonde._pipeline.process_exit import ProcessExit


def deliver_before_pools_end(leaving: ProcessExit) -> None:
    """If this is a worker of a pool of billiard's, deliver before it reports its death. A second call changes nothing."""
    process, pool = sys.modules.get("billiard.process"), sys.modules.get("billiard.pool")
    if process is None or pool is None or process.current_process()._parent_pid != os.getppid():  # noqa: SLF001 - has no public name
        return
    end = pool.Worker._do_exit  # noqa: SLF001 - there is no other place
    if getattr(end, "delivers", False):
        return

    @functools.wraps(end)
    def deliver_and_end(*args: Any, **kwargs: Any) -> None:
        leaving.act()
        end(*args, **kwargs)

    deliver_and_end.delivers = True  # type: ignore[attr-defined]
    pool.Worker._do_exit = deliver_and_end  # noqa: SLF001
