"""The ring: where records wait between the caller's thread and the consumer."""

from radiosonde._ring.arena import BatchArena
from radiosonde._ring.reader import Block, RingReader
from radiosonde._ring.ring import Ring

__all__ = ["BatchArena", "Block", "Ring", "RingReader"]
