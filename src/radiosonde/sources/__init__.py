"""Sources of windows for diagnosis: SQLite stores, folders of sealed Parquet, ClickHouse databases, or several of them."""

from radiosonde.sources.address import Address, ClickHouseAddress, parse
from radiosonde.sources.opening import open_source
from radiosonde.sources.source import Source, StoredSource

__all__ = ["Address", "ClickHouseAddress", "Source", "StoredSource", "open_source", "parse"]
