"""Fingerprints in SQL: macros for DuckDB and functions for ClickHouse, and the query of a table.

They compute what `radiosonde.model.fingerprints` defines, bit for bit. DuckDB has no arithmetic modulo 2**64, so products are taken in 128
bits and cut (by ``&``: its ``%`` takes 9 us). ClickHouse's unsigned arithmetic wraps. ClickHouse reads a fraction as the quotient of two exact integers, because its parser of
floats is off by a bit for some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from radiosonde.model.fingerprints import (
    FIRST_FACTOR,
    FRACTION_LENGTH,
    FRACTION_TEXT,
    GAMMA,
    MISSING_WORD,
    SECOND_FACTOR,
    SHIFTS,
    WHOLE_TEXT,
    WORD,
)

Engine = Literal["duckdb", "clickhouse"]
Kind = Literal["number", "text", "time"]

DUCKDB = f"""\
-- Fingerprints of features and rows, as docs/explanation/forensics.md defines them. Made by: radiosonde fingerprint --sql duckdb
--
--     SELECT radiosonde_sum(radiosonde_number(wind)) AS wind, radiosonde_sum(radiosonde_text(carrier)) AS carrier,
--            radiosonde_sum(radiosonde_row([radiosonde_part('wind', radiosonde_number(wind)),
--                                           radiosonde_part('carrier', radiosonde_text(carrier))])) AS row_fingerprint
--     FROM 'features.parquet';

CREATE OR REPLACE MACRO radiosonde_product(a, b) AS ((a::UHUGEINT * b::UHUGEINT) & {WORD - 1}::UHUGEINT)::UBIGINT;
CREATE OR REPLACE MACRO radiosonde_fold(z, bits) AS xor(z, z >> bits);
CREATE OR REPLACE MACRO radiosonde_hash(word) AS radiosonde_fold(radiosonde_product(radiosonde_fold(radiosonde_product(radiosonde_fold(
  ((word::UHUGEINT + {GAMMA}::UHUGEINT) & {WORD - 1}::UHUGEINT)::UBIGINT,
  {SHIFTS[0]}), {FIRST_FACTOR}::UBIGINT), {SHIFTS[1]}), {SECOND_FACTOR}::UBIGINT), {SHIFTS[2]});
CREATE OR REPLACE MACRO radiosonde_bits(x) AS
  CASE WHEN x IS NULL OR isnan(x) THEN {MISSING_WORD}::UBIGINT WHEN x = 0 THEN 0::UBIGINT ELSE x::BIT::UBIGINT END;
CREATE OR REPLACE MACRO radiosonde_digest(x) AS ('0x' || substr(sha256(x), 1, 16))::UBIGINT;

-- The hash of a value: a number or boolean, a text or category, a date or time.
CREATE OR REPLACE MACRO radiosonde_number(x) AS radiosonde_hash(radiosonde_bits(x::DOUBLE));
CREATE OR REPLACE MACRO radiosonde_text(x) AS radiosonde_hash(CASE
  WHEN x IS NULL THEN {MISSING_WORD}::UBIGINT
  WHEN regexp_full_match(x::VARCHAR, '{WHOLE_TEXT}')
    OR (length(ltrim(x::VARCHAR, '-')) <= {FRACTION_LENGTH} AND regexp_full_match(x::VARCHAR, '{FRACTION_TEXT}'))
  THEN radiosonde_bits(TRY_CAST(x::VARCHAR AS DOUBLE)) ELSE radiosonde_digest(x::VARCHAR) END);
CREATE OR REPLACE MACRO radiosonde_time(x) AS radiosonde_number(epoch_us(x)::DOUBLE / 1000000.0::DOUBLE);

-- The part of a feature in the hash of a row, the hash of a row from the list of all parts, and the sum of hashes.
CREATE OR REPLACE MACRO radiosonde_part(name, hash) AS
  radiosonde_product((radiosonde_digest(name) >> 1 << 1) + 1::UBIGINT, hash);
CREATE OR REPLACE MACRO radiosonde_row(parts) AS radiosonde_hash((list_sum(parts) & {WORD - 1}::HUGEINT)::UBIGINT);
CREATE OR REPLACE MACRO radiosonde_sum(hash) AS (coalesce(sum(hash), 0) % {WORD}::HUGEINT)::UBIGINT;
"""  # noqa: S608 - only constants

_POWERS = ", ".join(f"1e{power}" for power in range(17))

CLICKHOUSE = f"""\
-- Fingerprints of features and rows, as docs/explanation/forensics.md defines them. Made by: radiosonde fingerprint --sql clickhouse
--
--     SELECT radiosonde_sum(radiosonde_number(wind)) AS wind, radiosonde_sum(radiosonde_text(carrier)) AS carrier,
--            radiosonde_sum(radiosonde_row([radiosonde_part('wind', radiosonde_number(wind)),
--                                           radiosonde_part('carrier', radiosonde_text(carrier))])) AS row_fingerprint
--     FROM features;

CREATE OR REPLACE FUNCTION radiosonde_fold AS (z, bits) -> bitXor(z, bitShiftRight(z, bits));
CREATE OR REPLACE FUNCTION radiosonde_hash AS (word) -> radiosonde_fold(radiosonde_fold(radiosonde_fold(
  word + toUInt64({GAMMA}), {SHIFTS[0]}) * toUInt64({FIRST_FACTOR}), {SHIFTS[1]}) * toUInt64({SECOND_FACTOR}), {SHIFTS[2]});
CREATE OR REPLACE FUNCTION radiosonde_bits AS (x) -> if(isNaN(x), toUInt64({MISSING_WORD}), reinterpretAsUInt64(x + toFloat64(0)));
CREATE OR REPLACE FUNCTION radiosonde_digest AS (x) -> reinterpretAsUInt64(reverse(substring(toString(SHA256(x)), 1, 8)));

-- The hash of a value: a number or boolean, a text or category, a date or time.
CREATE OR REPLACE FUNCTION radiosonde_number AS (x) -> radiosonde_hash(radiosonde_bits(assumeNotNull(ifNull(toFloat64(x), toFloat64('nan')))));
CREATE OR REPLACE FUNCTION radiosonde_quotient AS (x) -> toFloat64(toInt64OrZero(replaceOne(x, '.', ''))) /
  [{_POWERS}][length(x) - position(x, '.') + 1];
CREATE OR REPLACE FUNCTION radiosonde_text AS (x) -> radiosonde_hash(multiIf(
  isNull(x), toUInt64({MISSING_WORD}),
  match(ifNull(toString(x), ''), '^({WHOLE_TEXT})$'), radiosonde_bits(toFloat64(toInt64OrZero(ifNull(toString(x), '')))),
  match(ifNull(toString(x), ''), '^({FRACTION_TEXT})$') AND length(replaceOne(ifNull(toString(x), ''), '-', '')) <= {FRACTION_LENGTH},
  radiosonde_bits(radiosonde_quotient(ifNull(toString(x), ''))),
  radiosonde_digest(ifNull(toString(x), ''))));
CREATE OR REPLACE FUNCTION radiosonde_time AS (x) -> radiosonde_number(toUnixTimestamp64Micro(toDateTime64(x, 6, 'UTC')) / 1000000.);

-- The part of a feature in the hash of a row, the hash of a row from the list of all parts, and the sum of hashes.
CREATE OR REPLACE FUNCTION radiosonde_part AS (name, hash) -> bitOr(radiosonde_digest(name), toUInt64(1)) * hash;
CREATE OR REPLACE FUNCTION radiosonde_row AS (parts) -> radiosonde_hash(toUInt64(arraySum(parts)));
CREATE OR REPLACE FUNCTION radiosonde_sum AS (hash) -> sum(hash);
"""  # noqa: S608 - only constants
CLICKHOUSE = CLICKHOUSE.replace("\\.", "\\\\.")  # its literals take backslashes

STATEMENTS: Mapping[Engine, str] = {"duckdb": DUCKDB, "clickhouse": CLICKHOUSE}


def query(engine: Engine, table: str, kinds: Mapping[str, Kind], by: Sequence[str] = ()) -> str:
    """Return the SELECT of the fingerprints of a table: the columns of *by*, ``rows``, ``row_fingerprint``, and one column per feature.

    Args:
        engine: whose functions (`STATEMENTS`) are there.
        table: what to select from, as SQL.
        kinds: how to hash each feature.
        by: columns to group by.
    """
    # Hashed in a query of its own: as an argument of two functions the expression of a hash is planned twice.
    hashed = [
        f"radiosonde_{kind}({quoted(engine, name)}) AS hash_{place}" for place, (name, kind) in enumerate(kinds.items())
    ]
    parts = ", ".join(f"radiosonde_part({_literal(engine, name)}, hash_{place})" for place, name in enumerate(kinds))
    keys = [quoted(engine, name) for name in by]
    columns = [
        *keys,
        "count(*) AS rows",
        f"radiosonde_sum(radiosonde_row([{parts}])) AS row_fingerprint",
        *(f"radiosonde_sum(hash_{p}) AS {quoted(engine, f'{name} fingerprint')}" for p, name in enumerate(kinds)),
    ]
    grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
    return f"SELECT {', '.join(columns)} FROM (SELECT {', '.join([*keys, *hashed])} FROM {table}) AS hashed{grouped}"  # noqa: S608 - quoted


def quoted(engine: Engine, name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"' if engine == "duckdb" else "`" + _escaped(name).replace("`", "\\`") + "`"


def _literal(engine: Engine, text: str) -> str:
    return "'" + (text.replace("'", "''") if engine == "duckdb" else _escaped(text).replace("'", "\\'")) + "'"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\")
