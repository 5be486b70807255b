"""The rings of one process, including released rings that still have records.

A model that is made anew every few seconds, a function that is decorated in every request, and a schema that turned out to be
another one each leave a ring behind that nobody can write into any more. Once it is drained to its end, its mapping, its
descriptors and its files are let go; its counts and its reference profile stay, because the totals go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from radiosonde._pipeline.ring_consumer import RingConsumer
    from radiosonde.reference.profile import Reference


class Rings(list["RingConsumer"]):
    """The rings that are drained; grows as models are opened. Rings leave it in the consumer's turn only.

    Attributes:
        past_records: records drained from rings that are gone.
        past_rows: rows of their calls.
        past_feature_rows: rows of those with features.
    """

    def __init__(self) -> None:
        super().__init__()
        self.past_records = self.past_rows = self.past_feature_rows = 0
        self._past_profiles: dict[tuple[str, str], Reference] = {}

    def let_go(self, ring: RingConsumer) -> None:
        """Forget a ring that was drained to its end, and close its files."""
        self.remove(ring)
        self.past_records += ring.records
        self.past_rows += ring.rows
        self.past_feature_rows += ring.feature_rows
        stream = ring.stream
        if stream.reference is not None:
            self._past_profiles[stream.model, stream.version] = stream.reference
        ring.ring.close()

    def profiles(self) -> dict[tuple[str, str], Reference]:
        """Return the profiles that rows were counted by, by (model, version)."""
        streams = [ring.stream for ring in list(self)]
        in_use = {(each.model, each.version): each.reference for each in streams if each.reference is not None}
        return {**self._past_profiles, **in_use}
