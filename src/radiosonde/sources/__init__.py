"""Where the desk reads windows from: SQLite stores, folders of sealed Parquet, or both at once."""

from radiosonde.sources.opening import open_source
from radiosonde.sources.source import Source, StoredSource

__all__ = ["Source", "StoredSource", "open_source"]
