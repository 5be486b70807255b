"""Views of SQL engines: the questions of a diagnosis, with the same names and columns over a store and over what the Collector writes.

* `answers`: the questions, in SQL that both engines run;
* `counts`: the relations that they read, which each engine provides;
* `duckdb` and `clickhouse`: those relations over sealed Parquet, and over the tables of OpenTelemetry's exporter.
"""
