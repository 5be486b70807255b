"""Compares data by fingerprints, of tables, files and SQL engines, and predictions by replay.

* `tables`: fingerprints of frames and of batches;
* `files`: reading tables that exceed memory, and files of fingerprints;
* `sides` and `comparison`: stores, tables and files of fingerprints compared;
* `keyed`: tables compared row by row, by a key;
* `sql`: the same fingerprints in DuckDB and ClickHouse;
* `replay`: recorded rows predicted again, with `corrections` of features, `answers` as columns, `paired` differences, and the
  `replay_folder` from which an interrupted replay goes on.
"""
