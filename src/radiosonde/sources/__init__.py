"""Sources of windows for diagnosis: SQLite stores, folders of sealed Parquet, or both."""

from radiosonde.sources.opening import open_source
from radiosonde.sources.source import Source, StoredSource

__all__ = ["Source", "StoredSource", "open_source"]
