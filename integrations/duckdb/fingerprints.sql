-- Fingerprints of features and rows, as docs/explanation/forensics.md defines them. Made by: radiosonde fingerprint --sql duckdb
--
--     SELECT radiosonde_sum(radiosonde_number(wind)) AS wind, radiosonde_sum(radiosonde_text(carrier)) AS carrier,
--            radiosonde_sum(radiosonde_row([radiosonde_part('wind', radiosonde_number(wind)),
--                                           radiosonde_part('carrier', radiosonde_text(carrier))])) AS row_fingerprint
--     FROM 'features.parquet';

CREATE OR REPLACE MACRO radiosonde_product(a, b) AS ((a::UHUGEINT * b::UHUGEINT) & 18446744073709551615::UHUGEINT)::UBIGINT;
CREATE OR REPLACE MACRO radiosonde_fold(z, bits) AS xor(z, z >> bits);
CREATE OR REPLACE MACRO radiosonde_hash(word) AS radiosonde_fold(radiosonde_product(radiosonde_fold(radiosonde_product(radiosonde_fold(
  ((word::UHUGEINT + 11400714819323198485::UHUGEINT) & 18446744073709551615::UHUGEINT)::UBIGINT,
  30), 13787848793156543929::UBIGINT), 27), 10723151780598845931::UBIGINT), 31);
CREATE OR REPLACE MACRO radiosonde_bits(x) AS
  CASE WHEN x IS NULL OR isnan(x) THEN 9221120237041090560::UBIGINT WHEN x = 0 THEN 0::UBIGINT ELSE x::BIT::UBIGINT END;
CREATE OR REPLACE MACRO radiosonde_digest(x) AS ('0x' || substr(sha256(x), 1, 16))::UBIGINT;

-- The hash of a value: a number or boolean, a text or category, a date or time.
CREATE OR REPLACE MACRO radiosonde_number(x) AS radiosonde_hash(radiosonde_bits(x::DOUBLE));
CREATE OR REPLACE MACRO radiosonde_text(x) AS radiosonde_hash(CASE
  WHEN x IS NULL THEN 9221120237041090560::UBIGINT
  WHEN regexp_full_match(x::VARCHAR, '0|-?[1-9][0-9]{0,17}')
    OR (length(ltrim(x::VARCHAR, '-')) <= 16 AND regexp_full_match(x::VARCHAR, '-?(0|[1-9][0-9]*)\.[0-9]*[1-9]'))
  THEN radiosonde_bits(TRY_CAST(x::VARCHAR AS DOUBLE)) ELSE radiosonde_digest(x::VARCHAR) END);
CREATE OR REPLACE MACRO radiosonde_time(x) AS radiosonde_number(epoch_us(x)::DOUBLE / 1000000.0::DOUBLE);

-- The part of a feature in the hash of a row, the hash of a row from the list of all parts, and the sum of hashes.
CREATE OR REPLACE MACRO radiosonde_part(name, hash) AS
  radiosonde_product((radiosonde_digest(name) >> 1 << 1) + 1::UBIGINT, hash);
CREATE OR REPLACE MACRO radiosonde_row(parts) AS radiosonde_hash((list_sum(parts) & 18446744073709551615::HUGEINT)::UBIGINT);
CREATE OR REPLACE MACRO radiosonde_sum(hash) AS (coalesce(sum(hash), 0) % 18446744073709551616::HUGEINT)::UBIGINT;
