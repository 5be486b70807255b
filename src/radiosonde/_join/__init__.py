"""Where predictions wait for their labels."""

from radiosonde._join.pending import Pending, PendingRow

__all__ = ["Pending", "PendingRow"]
