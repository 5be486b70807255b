-- Optional: keeps the last export of every hour, for as long as the TTL says. Made by: radiosonde assets clickhouse
-- Run this file in the database of the tables of OpenTelemetry's exporter, and views.sql in the new one as well. The views there answer for months
-- of which the exporter's tables have nothing any more. For cumulative temporality.
--
--     clickhouse-client --database otel --queries-file rollup.sql
--     clickhouse-client --database radiosonde_hourly --queries-file views.sql
--     SELECT * FROM radiosonde_hourly.radiosonde_failures(t0 = '2026-01-01 00:00:00', t1 = '2026-02-01 00:00:00')

CREATE DATABASE IF NOT EXISTS radiosonde_hourly;

CREATE TABLE IF NOT EXISTS radiosonde_hourly.otel_metrics_sum (MetricName LowCardinality(String), ResourceAttributes Map(LowCardinality(String), String), Attributes Map(LowCardinality(String), String), StartTimeUnix DateTime64(9), TimeUnix DateTime64(9), Value Float64, AggregationTemporality Int32)
ENGINE = ReplacingMergeTree(TimeUnix) PARTITION BY toYYYYMM(TimeUnix)
ORDER BY (MetricName, ResourceAttributes['service.instance.id'], Attributes, StartTimeUnix, toStartOfHour(TimeUnix))
TTL toDateTime(TimeUnix) + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS radiosonde_rollup_sum TO radiosonde_hourly.otel_metrics_sum AS
SELECT MetricName, ResourceAttributes, Attributes, StartTimeUnix, TimeUnix, Value, AggregationTemporality FROM otel_metrics_sum
WHERE startsWith(MetricName, 'radiosonde.') AND AggregationTemporality = 2;

CREATE TABLE IF NOT EXISTS radiosonde_hourly.otel_metrics_gauge (MetricName LowCardinality(String), ResourceAttributes Map(LowCardinality(String), String), Attributes Map(LowCardinality(String), String), StartTimeUnix DateTime64(9), TimeUnix DateTime64(9), Value Float64)
ENGINE = ReplacingMergeTree(TimeUnix) PARTITION BY toYYYYMM(TimeUnix)
ORDER BY (MetricName, ResourceAttributes['service.instance.id'], Attributes, StartTimeUnix, toStartOfHour(TimeUnix))
TTL toDateTime(TimeUnix) + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS radiosonde_rollup_gauge TO radiosonde_hourly.otel_metrics_gauge AS
SELECT MetricName, ResourceAttributes, Attributes, StartTimeUnix, TimeUnix, Value FROM otel_metrics_gauge
WHERE startsWith(MetricName, 'radiosonde.');

CREATE TABLE IF NOT EXISTS radiosonde_hourly.otel_metrics_histogram (MetricName LowCardinality(String), ResourceAttributes Map(LowCardinality(String), String), Attributes Map(LowCardinality(String), String), StartTimeUnix DateTime64(9), TimeUnix DateTime64(9), Sum Float64, BucketCounts Array(UInt64), ExplicitBounds Array(Float64), AggregationTemporality Int32)
ENGINE = ReplacingMergeTree(TimeUnix) PARTITION BY toYYYYMM(TimeUnix)
ORDER BY (MetricName, ResourceAttributes['service.instance.id'], Attributes, StartTimeUnix, toStartOfHour(TimeUnix))
TTL toDateTime(TimeUnix) + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS radiosonde_rollup_histogram TO radiosonde_hourly.otel_metrics_histogram AS
SELECT MetricName, ResourceAttributes, Attributes, StartTimeUnix, TimeUnix, Sum, BucketCounts, ExplicitBounds, AggregationTemporality FROM otel_metrics_histogram
WHERE startsWith(MetricName, 'radiosonde.') AND AggregationTemporality = 2;
