"""API for plug-ins: functions for observing third-party software, beside those of `radiosonde`.

Applications need none of these; `radiosonde.observe` and `radiosonde.instrument` do it for them.
"""

from __future__ import annotations

from radiosonde._api.leaving import deliver_at_any_end
from radiosonde._api.surface import collect, defer, queued, recorder, watch_loop
from radiosonde._record.tracing import find_provider

__all__ = ["collect", "defer", "deliver_at_any_end", "find_provider", "queued", "recorder", "watch_loop"]
