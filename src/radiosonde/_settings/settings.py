"""Settings, each declared once: name, type, default, kind (which validates), variable, documentation.

Everything else is derived from the fields of `Settings`: reading the environment, checking, the message about a misspelt
name, and, by ``tools/generate_settings.py``, ``docs/settings.md`` and the keywords that a type checker knows of ``start``.
A new setting is one field here.

Resolved once, at first use: arguments of ``start`` first, then ``RADIOSONDE_*``, then ``OTEL_*``. A wrong argument is a
programmer's error and raises. A wrong variable never does, because operators cannot change the code: it is a problem, which is logged and
counted by the caller, and the default applies.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal, NamedTuple

from radiosonde._settings import environment as env_
from radiosonde._settings import kinds
from radiosonde._settings.kinds import Kind
from radiosonde.errors import ConfigurationError

AUTO: Literal["auto"] = "auto"
"""Value of ``agent``: the first process that finds no agent starts one."""

MEMORY = "memory"

SPOOL_LABELS = "labels.sqlite"
"""Name of the join store in a spool that an agent drains."""

_DECLARED = "radiosonde"
_YEAR_S = 31_536_000


@dataclass(frozen=True, slots=True)
class DeclaredSetting:
    """The declaration of a setting besides its name, type and default.

    Attributes:
        kind: kind of its values.
        doc: its documentation.
        variable: the environment variable that sets it; empty: an argument only.
        otel: reads it from OpenTelemetry's variables; returns None if they are not set.
        otel_variables: names of those, for documentation.
        is_secret: its value is shown nowhere.
    """

    kind: Kind
    doc: str
    variable: str = ""
    otel: Callable[[Mapping[str, str]], object] | None = None
    otel_variables: tuple[str, ...] = ()
    is_secret: bool = False


class SettingProblem(NamedTuple):
    """A variable that cannot be used.

    Attributes:
        variable: its name.
        message: the problem, and the value used instead.
    """

    variable: str
    message: str


def _setting(
    default: Any,
    kind: Kind,
    doc: str,
    variable: str = "",
    otel: Callable[[Mapping[str, str]], object] | None = None,
    otel_variables: tuple[str, ...] = (),
    *,
    is_secret: bool = False,
) -> Any:
    metadata = {_DECLARED: DeclaredSetting(kind, doc, variable, otel, otel_variables, is_secret)}
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not is_secret)
    return field(default=default, metadata=metadata, repr=not is_secret)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Each field is documented in its declaration, and in ``docs/settings.md``.

    Attributes:
        problems: invalid variables; the defaults apply.
        from_environment: names of the settings that a variable has set.

    Raises:
        ConfigurationError: a value cannot be used, or two contradict each other.
    """

    store: str | None = _setting(
        None, kinds.path(), "SQLite store that closed windows are written to, for `radiosonde diagnose`; none by default.",
        "RADIOSONDE_STORE",
    )  # fmt: skip
    store_tiers: Sequence[float] = _setting(
        (2.0, 60.0, 730.0), kinds.ages(0.01, 36_500, 3),
        "Ages in days: windows are kept in the store minute by minute up to the first, hour by hour up to the second, day by day "
        "up to the third, and are removed then.",
        "RADIOSONDE_STORE_TIERS",
    )  # fmt: skip
    spool: str | None = _setting(
        None, kinds.path("folder"),
        "Folder for rings as files. They outlive the process, `radiosonde blackbox` reads them, and an agent can drain them. "
        "By default rings are in memory.",
        "RADIOSONDE_SPOOL",
    )  # fmt: skip
    agent: bool | Literal["auto"] = _setting(
        False, kinds.flag(other=AUTO),
        "Let `radiosonde agent` drain the rings in the spool; this process only writes them. `auto` starts an agent if none "
        "runs. Requires `spool`.",
        "RADIOSONDE_AGENT",
    )  # fmt: skip
    window_s: float = _setting(
        60.0,
        kinds.number(1, _YEAR_S, "seconds"),
        "Length of a window, in seconds of event time.",
        "RADIOSONDE_WINDOW_S",
    )
    references: Mapping[str, str] = _setting(
        dict,
        kinds.references(),
        "Reference profile of each model; `*` serves models without one.",
        "RADIOSONDE_REFERENCE",
    )
    cohorts: Mapping[str, Sequence[str]] = _setting(
        dict, kinds.cohorts(),
        "Allowed values of each cohort dimension; `*` among them allows all. Other values count as `other`. Values of a "
        "dimension that is not listed are hashed.",
        "RADIOSONDE_COHORTS",
    )  # fmt: skip
    service_name: str | None = _setting(
        None, kinds.text(), "`service.name` of the telemetry; by default OpenTelemetry's own rules decide.",
        "", env_.otel_service_name, ("OTEL_SERVICE_NAME",),
    )  # fmt: skip
    otlp: bool = _setting(
        False, kinds.flag(),
        "Export over OTLP/HTTP. Enabled by default if OpenTelemetry's variables name an endpoint or an OTLP exporter.",
        "RADIOSONDE_OTLP", env_.otel_takes_metrics,
        ("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
    )  # fmt: skip
    export_interval_s: float = _setting(
        60.0, kinds.number(0, _YEAR_S, "seconds", is_above=True), "Seconds between exports of metrics over OTLP.",
        "", env_.otel_interval_s, ("OTEL_METRIC_EXPORT_INTERVAL",),
    )  # fmt: skip
    latency_edges: Sequence[float] | None = _setting(
        None, kinds.edges(40),
        "Bucket bounds of the duration histogram in seconds, by default 19 from 0.0001 to 60. Objectives of the latency in `radiosonde.toml` "
        "are always among them.",
        "RADIOSONDE_LATENCY_EDGES",
    )  # fmt: skip
    sketch_cohorts: bool = _setting(
        False, kinds.flag(),
        "Send the sketches of each cohort over OTLP as events of their own. By default the cohorts of a model version and variant are added "
        "up, one event per feature and kind of sketch.",
        "RADIOSONDE_SKETCH_COHORTS",
    )  # fmt: skip
    window_events: bool = _setting(
        False, kinds.flag(),
        "Send every closed window over OTLP as an event, one per series and window, and the references. `radiosonde diagnose clickhouse://...` "
        "reads them.",
        "RADIOSONDE_WINDOW_EVENTS",
    )  # fmt: skip
    spans_per_minute: int = _setting(
        60, kinds.whole(0, 6000),
        "Bound on spans after the fact, for predictions whose trace was not recorded, if OTLP is enabled. 0 disables them. The "
        "default is 0 if OpenTelemetry's variables disable traces.",
        "RADIOSONDE_SPANS_PER_MINUTE", env_.otel_spans_per_minute,
        ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    )  # fmt: skip
    prometheus: bool = _setting(True, kinds.flag(), "Register a collector in prometheus-client's default registry.")
    prometheus_port: int | None = _setting(
        None, kinds.whole(0, 65_535), "Serve `/metrics` at this port; 0 selects a free one. Not served by default.",
        "RADIOSONDE_PROMETHEUS_PORT",
    )  # fmt: skip
    prometheus_host: str = _setting(
        "127.0.0.1", kinds.host(),
        "Address that `/metrics` is served on: by default this machine only, `0.0.0.0` or `::` for all interfaces.",
        "RADIOSONDE_PROMETHEUS_HOST",
    )  # fmt: skip
    prometheus_folder: str | None = _setting(
        None, kinds.path("folder"),
        "Folder of prometheus-client's multiprocess mode: each process (or the agent) writes its metrics there, so that they are "
        "on the application's own page.",
        "", env_.prometheus_folder, ("PROMETHEUS_MULTIPROC_DIR",),
    )  # fmt: skip
    ring_bytes: int = _setting(
        4 << 20, kinds.whole(1 << 16, 1 << 32, "bytes"), "Size of one model's ring.", "RADIOSONDE_RING_BYTES"
    )
    max_series: int = _setting(
        200,
        kinds.whole(1, 100_000),
        "Cohort cells per model; further ones count as `__overflow__`.",
        "RADIOSONDE_MAX_SERIES",
    )
    max_features: int = _setting(
        512,
        kinds.whole(1, 10_000),
        "Maximum width of a row whose values are recorded individually; wider rows (embeddings, images) are summarised. Features "
        "named by a reference or by `observe(features=...)` are always recorded.",
        "RADIOSONDE_MAX_FEATURES",
    )
    provisional_s: float = _setting(
        3600.0,
        kinds.number(0, 31_536_000, "seconds"),
        "Event time that the first rows of a model without a reference must cover before they become its provisional reference.",
        "RADIOSONDE_PROVISIONAL_S",
    )
    cpu_budget: float = _setting(
        0.01, kinds.number(0, math.inf, "CPU seconds per second", is_above=True),
        "Share of one core that Radiosonde's threads in this process may use together. Held by sampling features "
        "1-in-N, weighted by N; calls, rows, errors, durations, phases and outputs stay exact. `inf` samples every row.",
        "RADIOSONDE_CPU_BUDGET",
    )  # fmt: skip
    disabled: bool = _setting(
        False, kinds.flag(), "Disable Radiosonde: decorators return the functions they were given.",
        "RADIOSONDE_DISABLED", env_.otel_disabled, ("OTEL_SDK_DISABLED",),
    )  # fmt: skip
    labels: str | None = _setting(
        None, kinds.path("path of a SQLite file, `redis://` address, or `memory`"),
        "Join store, where predictions wait for their labels. By default beside the store (`flights.labels.sqlite` beside "
        "`flights.sqlite`), in the spool where an agent drains it, else in memory.",
        "RADIOSONDE_LABELS",
    )  # fmt: skip
    receipt_keys: str = _setting(
        "", kinds.receipt_keys(), "Keys of receipts: the first signs, all verify. Without a key, no receipts are issued.",
        "RADIOSONDE_RECEIPT_KEYS", is_secret=True,
    )  # fmt: skip
    pii_key: str = _setting(
        "", kinds.key(),
        "Key for hashing the categories of features marked `pii`; must be the key that the profile was fitted with.",
        "RADIOSONDE_PII_KEY", is_secret=True,
    )  # fmt: skip
    id_key: str = _setting(
        "", kinds.key(),
        "Key for hashing your own ids in the join store; must be the same wherever labels are reported.",
        "RADIOSONDE_ID_KEY", is_secret=True,
    )  # fmt: skip
    receipt_ttl_s: float = _setting(
        90 * 86_400.0, kinds.number(1, 10 * _YEAR_S, "seconds"),
        "Validity of a receipt. At most ten years: a receipt has 32 bits for its expiry.",
        "RADIOSONDE_RECEIPT_TTL_S",
    )  # fmt: skip
    runtime: bool = _setting(
        True, kinds.flag(),
        "Measure the runtime health of the process: CPU, throttling, memory, garbage collector, loop lag, pool waits.",
        "RADIOSONDE_RUNTIME",
    )  # fmt: skip
    problems: tuple[SettingProblem, ...] = field(default=(), repr=False, compare=False)
    from_environment: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    def __post_init__(self) -> None:
        for item, declared in declarations():
            value = getattr(self, item.name)
            if value is not None or item.default is not None:
                object.__setattr__(self, item.name, _checked(item.name, declared, value))
        for conflict in _CONFLICTS:
            if conflict.is_met(self):
                raise ConfigurationError(conflict.message)

    @property
    def join_target(self) -> str | None:
        """Where predictions wait for their labels; None: in memory."""
        if self.labels is not None:
            return None if self.labels == MEMORY else self.labels
        if self.agent and self.spool is not None:
            return f"{self.spool}/{SPOOL_LABELS}"
        if self.store is None:
            return None
        stem, suffix = os.path.splitext(self.store)  # noqa: PTH122 - a path keeps its form: no "./" is lost
        return f"{stem}.labels{suffix}"

    @classmethod
    def resolve(cls, environment: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
        """Return the settings in force: *arguments* that are not None win over the environment.

        An invalid variable is listed in `problems` of the result.

        Raises:
            ConfigurationError: an argument is unknown or invalid; the message says which and why.
        """
        given = _given(arguments)
        values, problems = _read(env_.in_force(environment))
        values = {name: value for name, value in values.items() if name not in given}
        while True:
            met = next((each for each in _CONFLICTS if each.is_met_by({**values, **given})), None)
            if met is None:
                break
            culprit = next((name for name in met.names if name in values), None)
            if culprit is None:
                raise ConfigurationError(met.message)
            del values[culprit]
            variable = next(declared.variable for item, declared in declarations() if item.name == culprit)
            problems.append(SettingProblem(variable, f"{variable} is ignored: {met.message}"))
        return cls(**values, **given, problems=tuple(problems), from_environment=frozenset(values))


class _Conflict(NamedTuple):
    """Two settings that cannot be in force together.

    Attributes:
        names: the settings; the first one set by a variable is reset.
        is_met: whether settings have the conflict; may depend on `names` only.
        message: the problem and what to do.
    """

    names: tuple[str, ...]
    is_met: Callable[[Any], bool]
    message: str

    def is_met_by(self, values: Mapping[str, Any]) -> bool:
        """Return whether these values, with the defaults of others, have the conflict."""
        return self.is_met(_View({"agent": False, "spool": None, "labels": None} | dict(values)))


class _View:
    """Values as attributes."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)


_CONFLICTS = (
    _Conflict(
        ("agent",),
        lambda settings: bool(settings.agent) and settings.spool is None,
        "agent needs a spool; set RADIOSONDE_SPOOL, or give start(spool=...)",
    ),
    _Conflict(
        ("labels", "agent"),
        lambda settings: bool(settings.agent) and settings.labels == MEMORY,
        "labels in memory cannot reach the agent; unset RADIOSONDE_LABELS, or set it to a file or a Redis address",
    ),
)


def declarations() -> list[tuple[Field[Any], DeclaredSetting]]:
    """Return every setting: its field and its declaration."""
    return [(item, item.metadata[_DECLARED]) for item in fields(Settings) if _DECLARED in item.metadata]


def variables() -> tuple[str, ...]:
    """Return the names of Radiosonde's variables; any other name with their prefix is a misspelling."""
    return tuple(
        sorted({declared.variable for _, declared in declarations() if declared.variable} | {*env_.OTHER_VARIABLES})
    )


def is_disabled(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the environment disables Radiosonde. An invalid value does not."""
    env = env_.in_force(environment)
    return next(_value(env, declared, []) is True for item, declared in declarations() if item.name == "disabled")


def child_environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with *settings* added, for an agent with the same settings."""
    told = {
        "RADIOSONDE_STORE": settings.store and os.path.abspath(settings.store),  # noqa: PTH100 - the same in text
        "RADIOSONDE_STORE_TIERS": ",".join(f"{age:.17g}" for age in settings.store_tiers),
        "RADIOSONDE_WINDOW_S": f"{settings.window_s:.17g}",
        "RADIOSONDE_OTLP": "true" if settings.otlp else "false",
        "RADIOSONDE_PROMETHEUS_PORT": None if settings.prometheus_port is None else str(settings.prometheus_port),
        "RADIOSONDE_PROMETHEUS_HOST": settings.prometheus_host,
        "OTEL_SERVICE_NAME": settings.service_name,
        "OTEL_METRIC_EXPORT_INTERVAL": str(max(1, round(settings.export_interval_s * 1000))),
    }
    return {**env_.in_force(None), **{name: value for name, value in told.items() if value is not None}}


def bench_environment(store: str, *, disabled: bool = False) -> dict[str, str]:
    """Return this process's environment for a benchmark: the user's settings, except all destinations of data.

    Args:
        store: path of a separate store.
        disabled: switch everything off.
    """
    places = {"AGENT", "DISABLED", "LABELS", "OTLP", "PROMETHEUS_HOST", "PROMETHEUS_PORT", "SPOOL", "STORE"}
    kept = {
        name: value for name, value in env_.in_force(None).items() if name.removeprefix("RADIOSONDE_") not in places
    }
    for name in ("OTEL_SDK_DISABLED", "PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        kept.pop(name, None)
    own = {"RADIOSONDE_STORE": store, "RADIOSONDE_LABELS": MEMORY, "RADIOSONDE_OTLP": "false"}
    return {**kept, **({"RADIOSONDE_DISABLED": "true"} if disabled else own)}


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given arguments, checked."""
    declared = {item.name: declared for item, declared in declarations()}
    unknown = sorted(set(arguments) - declared.keys())
    if unknown:
        import difflib  # 3 ms of `import radiosonde`

        near = difflib.get_close_matches(unknown[0], declared, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigurationError(f"unknown setting {', '.join(unknown)}{hint} Known are {', '.join(sorted(declared))}")
    return {name: _checked(name, declared[name], value) for name, value in arguments.items() if value is not None}


def _checked(name: str, declared: DeclaredSetting, value: Any) -> Any:
    try:
        return declared.kind.check(value)
    except ConfigurationError:  # is complete, and shows no secret
        raise
    except ValueError as error:
        said = f"{name}: {error}" if declared.is_secret else f"{name} is {value!r}; {error}"
        raise ConfigurationError(said) from None


def _read(env: Mapping[str, str]) -> tuple[dict[str, Any], list[SettingProblem]]:
    """Return the values set by variables, and the invalid variables."""
    problems: list[SettingProblem] = []
    read = {item.name: _value(env, declared, problems) for item, declared in declarations()}
    return {name: value for name, value in read.items() if value is not None}, problems


def _value(env: Mapping[str, str], declared: DeclaredSetting, problems: list[SettingProblem]) -> Any:
    """Return the value of one setting in the environment, None if it is unset or invalid."""
    given = env.get(declared.variable, "").strip() if declared.variable else ""
    if given:
        try:
            return declared.kind.check(declared.kind.read(given))
        except ValueError as error:
            said = f"{declared.variable}:" if declared.is_secret else f"{declared.variable} is {given!r};"
            problems.append(SettingProblem(declared.variable, f"{said} {error}. It is ignored"))
    return declared.otel(env) if declared.otel is not None else None
