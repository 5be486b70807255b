"""The dashboard of one model: findings first, then the questions of triage from traffic to the SDK itself."""

from __future__ import annotations

from radiosonde.assets.asset import AssetOptions
from radiosonde.assets.dashboards.panel import (
    Dashboard,
    DashboardPanel,
    DashboardRow,
    Query,
    Unit,
    Variable,
    alerts,
    filters,
    legend,
    open_incidents,
    recorded,
    scrape_variables,
)
from radiosonde.assets.names import Part, check_attributes, label, series
from radiosonde.assets.prometheus.rules import Promql
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics

UID = "radiosonde-model"
_MOST = 10
"""Series of a panel whose number the data choose: the largest ones."""
_RELEASE = legend(names.MODEL_VERSION, names.VARIANT)
_FEATURE = legend(names.FEATURE_NAME, names.MODEL_VERSION)


def model(options: AssetOptions) -> Dashboard:
    """Return the dashboard."""
    return Dashboard(UID, "model", _Rows(options).all(), [*scrape_variables(options), *_variables(options)])


def _variables(options: AssetOptions) -> list[Variable]:
    info, found = series(metrics.MODEL_INFO), []
    within = tuple((name, name) for name in options.by)
    for variable, attribute in (
        ("model", names.MODEL_NAME),
        ("version", names.MODEL_VERSION),
        ("variant", names.VARIANT),
    ):
        found.append(Variable(variable, info, label(attribute), within))
        within = (*within, (label(attribute), variable))
    return found


class _Rows:
    """The rows, for the labels and filters of *options*."""

    def __init__(self, options: AssetOptions) -> None:
        self._promql = Promql(options.by)
        self._scraped = filters(options)
        # A watch is scraped as a job of its own, so findings are not filtered by the labels of the model's scrape.
        self._model = {label(names.MODEL_NAME): "$model"}
        self._of_model = filters(options, (names.MODEL_NAME, "model"))
        self._version = filters(options, (names.MODEL_NAME, "model"), (names.MODEL_VERSION, "version"))
        self._release = {**self._version, label(names.VARIANT): "$variant"}

    def all(self) -> list[DashboardRow]:
        """Return them in the order of triage."""
        return [
            self._findings(),
            self._traffic(),
            self._failures(),
            self._latency(),
            self._canary(),
            self._features(),
            self._answers(),
            self._labels(),
            self._host(),
            self._sdk(),
        ]

    def _of(self, record: str, more: str = "") -> str:
        return recorded(record, self._release, more)

    def _findings(self) -> DashboardRow:
        by = label(names.CHECK_RESULT)
        firing = recorded("ALERTS", self._model, 'component="radiosonde"')
        return DashboardRow(
            "What was found?",
            [
                open_incidents(recorded(series(metrics.INCIDENT_EVIDENCE), self._model), width=11),
                alerts("Alerts of Radiosonde that are pending or firing.", firing),
                DashboardPanel(
                    "Checks",
                    "Checks of the last look. Silence means health only where a check was made.",
                    [Query(f"sum by ({by}) ({recorded(series(metrics.CHECK_RESULTS), self._model)})", f"{{{{{by}}}}}")],
                    kind="stat",
                    width=5,
                ),
            ],
        )

    def _traffic(self) -> DashboardRow:
        rows = self._increase(metrics.PREDICTION_ROWS, (names.COHORT,))
        return DashboardRow(
            "Is there traffic?",
            [
                DashboardPanel(
                    "Calls",
                    "Calls per second, by version and variant.",
                    [Query(f"{self._of('radiosonde:calls:increase5m')} / 300", _RELEASE)],
                    "calls per second",
                    width=12,
                ),
                DashboardPanel(
                    "Rows by cohort",
                    f"Predicted rows per second of the {_MOST} largest cohorts.",
                    [Query(f"topk({_MOST}, {rows} / 300)", legend(names.COHORT))],
                    "rows per second",
                    width=12,
                ),
            ],
        )

    def _failures(self) -> DashboardRow:
        by = (names.MODEL_VERSION, names.COHORT)
        failed, calls = (
            self._increase(metric, by) for metric in (metrics.PREDICTION_FAILURES, metrics.PREDICTION_CALLS)
        )
        errors = self._increase(metrics.PREDICTION_ERRORS, (names.ERROR_TYPE,))
        return DashboardRow(
            "Does it fail, and for whom?",
            [
                DashboardPanel(
                    "Failures by version",
                    "Share of calls that raised, over five minutes.",
                    [Query(self._of("radiosonde:failures:ratio5m"), _RELEASE)],
                    "ratio",
                ),
                DashboardPanel(
                    "Failures by cohort",
                    f"The {_MOST} cohorts with the largest share of failed calls.",
                    [Query(f"topk({_MOST}, {failed} / ({calls} > 0))", legend(*by))],
                    "ratio",
                ),
                DashboardPanel(
                    "Errors by type",
                    "Failed calls in five minutes, by type of the exception.",
                    [Query(errors, legend(names.ERROR_TYPE))],
                    stacked=True,
                ),
            ],
        )

    def _latency(self) -> DashboardRow:
        buckets = self._increase(metrics.PREDICTION_DURATION, ("le",), "bucket")
        total = f'{label(names.PHASE)}!="total"'
        return DashboardRow(
            "Is it slow, and in which phase?",
            [
                DashboardPanel(
                    "Latency",
                    "Median, 95th and 99th percentile of all selected releases. A dot is a call that has a trace.",
                    [
                        Query(f"histogram_quantile({level}, {buckets})", f"p{round(100 * level)}", exemplars=True)
                        for level in (0.5, 0.95, 0.99)
                    ],
                    "seconds",
                ),
                DashboardPanel(
                    "p99 by version",
                    "99th percentile over five minutes.",
                    [Query(self._of("radiosonde:duration:p99_5m"), _RELEASE)],
                    "seconds",
                ),
                DashboardPanel(
                    "Seconds of slow calls by phase",
                    "Seconds that slow calls of the last hour spent in each phase; the phase that grows is the one to look at.",
                    [Query(self._of("radiosonde:tail:seconds1h", total), legend(names.PHASE, names.MODEL_VERSION))],
                    "seconds",
                    stacked=True,
                ),
            ],
        )

    def _canary(self) -> DashboardRow:
        return DashboardRow(
            "Is the canary worse than the stable version?",
            [
                DashboardPanel(
                    "Failures by variant",
                    "Share of calls that raised, over the last hour.",
                    [Query(self._of("radiosonde:failures:ratio1h"), _RELEASE)],
                    "ratio",
                ),
                DashboardPanel(
                    "Wrong answers at equal lag",
                    "Share of wrong answers of the canary less that of the stable version, by age of the prediction when its label came.",
                    [Query(self._of("radiosonde:canary:wrong_change"), legend(names.LABEL_LAG, names.MODEL_VERSION))],
                    "ratio",
                    floor=None,
                ),
                DashboardPanel(
                    "Evidence of a difference",
                    "Natural logarithm of the evidence; above 6.9 a difference is found, however often it was looked at.",
                    [
                        Query(
                            self._of("radiosonde:canary:wrong_ln_evidence"),
                            legend(names.LABEL_LAG, names.MODEL_VERSION),
                        )
                    ],
                    floor=None,
                ),
            ],
        )

    def _features(self) -> DashboardRow:
        def top(title: str, text: str, record: str, unit: Unit = "ratio", floor: float | None = 0.0) -> DashboardPanel:
            expr = recorded(record, self._version)
            ranked = f"topk({_MOST}, {expr})" if floor is not None else f"topk({_MOST}, abs({expr})) * 0 + {expr}"
            return DashboardPanel(title, text, [Query(ranked, _FEATURE)], unit, floor=floor)

        return DashboardRow(
            "Did the features change?",
            [
                top("Missing", "Share of missing values in the last hour.", "radiosonde:feature:null_ratio1h"),
                top("Unseen", "Share of categories that the reference lacks.", "radiosonde:feature:unseen_ratio1h"),
                top("Outside", "Share beyond the reference's range.", "radiosonde:feature:outside_ratio1h"),
                top(
                    "PSI",
                    "Distance from the reference. It has no threshold that holds for every feature: compare with its own past.",
                    "radiosonde:feature:psi1h",
                    "number",
                ),
                top(
                    "Location",
                    "How far values moved from the reference, in bins between its deciles; negative is down.",
                    "radiosonde:feature:location1h",
                    "number",
                    None,
                ),
            ],
        )

    def _answers(self) -> DashboardRow:
        return DashboardRow(
            "Did the answers change?",
            [
                DashboardPanel(
                    "Predicted classes",
                    "Share of each class over the last hour.",
                    [
                        Query(
                            self._of("radiosonde:class:ratio1h"),
                            legend(names.PREDICTION_CLASS, names.MODEL_VERSION, names.VARIANT),
                        )
                    ],
                    "ratio",
                ),
                DashboardPanel(
                    "Confidence",
                    "Mean confidence of the predicted class over the last hour.",
                    [Query(self._of("radiosonde:confidence:mean1h"), _RELEASE)],
                    "ratio",
                ),
                DashboardPanel(
                    "Predicted value",
                    "Mean predicted value of a regression over the last hour.",
                    [Query(self._of("radiosonde:value:mean1h"), _RELEASE)],
                    floor=None,
                ),
            ],
        )

    def _labels(self) -> DashboardRow:
        aged = legend(names.LABEL_LAG, names.MODEL_VERSION, names.VARIANT)
        return DashboardRow(
            "Are the answers right, and do labels come?",
            [
                DashboardPanel(
                    "Wrong answers",
                    "Share of labelled rows that were wrong, by age of the prediction when its label came. Compare equal ages only.",
                    [Query(self._of("radiosonde:outcomes:wrong_ratio1d"), aged)],
                    "ratio",
                    width=6,
                ),
                DashboardPanel(
                    "Calibration error",
                    "Mean distance of confidence and share of right answers over the last day.",
                    [Query(self._of("radiosonde:calibration:error1d"), _RELEASE)],
                    "ratio",
                    width=6,
                ),
                DashboardPanel(
                    "Mean absolute error",
                    "Of a regression, over the last day.",
                    [Query(self._of("radiosonde:residuals:mean_absolute1d"), _RELEASE)],
                    width=6,
                ),
                DashboardPanel(
                    "Labels",
                    "Labels that came in six hours, and the median age of their predictions.",
                    [
                        Query(
                            recorded("radiosonde:labels:increase6h", self._of_model),
                            f"labels {legend(names.MODEL_NAME)}",
                        ),
                        Query(self._of("radiosonde:labels:lag_p50_1d"), f"median age in seconds {_RELEASE}"),
                    ],
                    width=6,
                ),
            ],
        )

    def _host(self) -> DashboardRow:
        drawn: tuple[tuple[str, str, str, Unit], ...] = (
            ("CPU", "Cores in use by all processes.", "radiosonde:cpu:cores5m", "number"),
            (
                "Throttling",
                "Share of enforcement periods in which the CPU limit was reached.",
                "radiosonde:cpu:throttled_ratio5m",
                "ratio",
            ),
            ("Memory", "Resident memory of all processes.", "radiosonde:memory:bytes", "bytes"),
            (
                "Garbage collection",
                "Seconds per second in which the collector stopped a process.",
                "radiosonde:gc:seconds_rate5m",
                "ratio",
            ),
        )
        panels = [
            DashboardPanel(title, text, [Query(recorded(record, self._scraped), self._scraped_legend())], unit, width=6)
            for title, text, record, unit in drawn
        ]
        return DashboardRow("Is it the host?", panels)

    def _sdk(self) -> DashboardRow:
        return DashboardRow(
            "Can the telemetry be trusted?",
            [
                DashboardPanel(
                    "Losses",
                    "What was not recorded or not exported in the last hour, by reason. None is usual.",
                    [Query(recorded("radiosonde:sdk:losses1h", self._scraped), legend(names.LOSS_REASON))],
                ),
                DashboardPanel(
                    "Own errors and series left out",
                    "Errors of Radiosonde that were swallowed in the last hour, and time series beyond the cardinality bound.",
                    [
                        Query(recorded("radiosonde:sdk:guarded1h", self._scraped), "errors"),
                        Query(recorded("radiosonde:sdk:series_cut", self._scraped), "series left out"),
                    ],
                ),
                DashboardPanel(
                    "CPU of the consumer",
                    "Cores that Radiosonde's own thread uses.",
                    [Query(recorded("radiosonde:sdk:cpu_cores5m", self._scraped), self._scraped_legend())],
                ),
            ],
        )

    def _increase(self, metric: str, by: tuple[str, ...], part: Part = "") -> str:
        """Return the increase of a counter over five minutes, of the selected releases."""
        check_attributes(metric, (each for each in by if each != "le"))
        labels = self._promql.labels(*(each for each in by if each != "le")) + (", le" if "le" in by else "")
        return f"sum by ({labels}) (increase({recorded(series(metric, part=part), self._release)}[5m]))"

    def _scraped_legend(self) -> str:
        return " ".join(f"{{{{{name}}}}}" for name in self._scraped)
