"""The store: windows in one SQLite file that many processes write, sealed hour by hour into Parquet.

Write with `StoreWriter`, read with `radiosonde.sources.open_source`; `radiosonde.store.seal.seal` moves closed hours.
"""

from radiosonde.store.reader import Interval, ReferenceRow, SeriesSummary, StoreReader
from radiosonde.store.writer import StoreWriter

__all__ = ["Interval", "ReferenceRow", "SeriesSummary", "StoreReader", "StoreWriter"]
