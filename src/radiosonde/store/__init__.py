"""The store: windows in one SQLite file that many processes write, sealed hour by hour into Parquet.

Write with `StoreWriter`, read with `radiosonde.sources.open_source`; `radiosonde.store.seal.seal` moves closed hours.
"""

from radiosonde.store.annotations import Annotation, Purpose, add_annotation, withdraw_annotation
from radiosonde.store.reader import Interval, ReferenceRow, SeriesSummary, StoreReader
from radiosonde.store.writer import StoreWriter

__all__ = [
    "Annotation",
    "Interval",
    "Purpose",
    "ReferenceRow",
    "SeriesSummary",
    "StoreReader",
    "StoreWriter",
    "add_annotation",
    "withdraw_annotation",
]
