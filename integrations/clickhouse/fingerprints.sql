-- Fingerprints of features and rows, as docs/explanation/forensics.md defines them. Made by: radiosonde fingerprint --sql clickhouse
--
--     SELECT radiosonde_sum(radiosonde_number(wind)) AS wind, radiosonde_sum(radiosonde_text(carrier)) AS carrier,
--            radiosonde_sum(radiosonde_row([radiosonde_part('wind', radiosonde_number(wind)),
--                                           radiosonde_part('carrier', radiosonde_text(carrier))])) AS row_fingerprint
--     FROM features;

CREATE OR REPLACE FUNCTION radiosonde_fold AS (z, bits) -> bitXor(z, bitShiftRight(z, bits));
CREATE OR REPLACE FUNCTION radiosonde_hash AS (word) -> radiosonde_fold(radiosonde_fold(radiosonde_fold(
  word + toUInt64(11400714819323198485), 30) * toUInt64(13787848793156543929), 27) * toUInt64(10723151780598845931), 31);
CREATE OR REPLACE FUNCTION radiosonde_bits AS (x) -> if(isNaN(x), toUInt64(9221120237041090560), reinterpretAsUInt64(x + toFloat64(0)));
CREATE OR REPLACE FUNCTION radiosonde_digest AS (x) -> reinterpretAsUInt64(reverse(substring(toString(SHA256(x)), 1, 8)));

-- The hash of a value: a number or boolean, a text or category, a date or time.
CREATE OR REPLACE FUNCTION radiosonde_number AS (x) -> radiosonde_hash(radiosonde_bits(assumeNotNull(ifNull(toFloat64(x), toFloat64('nan')))));
CREATE OR REPLACE FUNCTION radiosonde_quotient AS (x) -> toFloat64(toInt64OrZero(replaceOne(x, '.', ''))) /
  [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16][length(x) - position(x, '.') + 1];
CREATE OR REPLACE FUNCTION radiosonde_text AS (x) -> radiosonde_hash(multiIf(
  isNull(x), toUInt64(9221120237041090560),
  match(ifNull(toString(x), ''), '^(0|-?[1-9][0-9]{0,17})$'), radiosonde_bits(toFloat64(toInt64OrZero(ifNull(toString(x), '')))),
  match(ifNull(toString(x), ''), '^(-?(0|[1-9][0-9]*)\\.[0-9]*[1-9])$') AND length(replaceOne(ifNull(toString(x), ''), '-', '')) <= 16,
  radiosonde_bits(radiosonde_quotient(ifNull(toString(x), ''))),
  radiosonde_digest(ifNull(toString(x), ''))));
CREATE OR REPLACE FUNCTION radiosonde_time AS (x) -> radiosonde_number(toUnixTimestamp64Micro(toDateTime64(x, 6, 'UTC')) / 1000000.);

-- The part of a feature in the hash of a row, the hash of a row from the list of all parts, and the sum of hashes.
CREATE OR REPLACE FUNCTION radiosonde_part AS (name, hash) -> bitOr(radiosonde_digest(name), toUInt64(1)) * hash;
CREATE OR REPLACE FUNCTION radiosonde_row AS (parts) -> radiosonde_hash(toUInt64(arraySum(parts)));
CREATE OR REPLACE FUNCTION radiosonde_sum AS (hash) -> sum(hash);
