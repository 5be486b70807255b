"""`deliver_at_any_end` for plug-ins: what a process counts is delivered however it ends, also if only its threads predict.

Python lets only the main thread set handlers of signals. A plug-in patches a library where it is imported, which is the main thread as a rule;
the first prediction may come in another one.
"""

from __future__ import annotations

from radiosonde._api.surface import SURFACE


def deliver_at_any_end() -> None:
    """Have what is counted delivered before a signal or ``os._exit`` ends this process. Repeated calls have no effect.

    A plug-in calls this when it patches a library. Nothing if Radiosonde is disabled.
    """
    if SURFACE.is_off:
        return
    from radiosonde._pipeline import _worker  # not at import: plug-ins are loaded at every start

    _worker.deliver_at_any_end()
