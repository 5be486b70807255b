"""Lists what a runbook of a model lacks for a person who does not know the model, by part."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from radiosonde.assets.kinds import KINDS
from radiosonde.assets.subject import ACTIONS
from radiosonde.assets.subjects import SUBJECTS
from radiosonde.config.keys import ModelConfig, declared_keys
from radiosonde.runbook.declared import gap_of, is_placeholder, place_of, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from radiosonde.diagnose.finding import Diagnosis

SCHEMA = "radiosonde.runbook-lint/1"
DRILL_DAYS: Final = 180
"""Largest age of the last drill. Arbitrary; twice a year is what most on-call rotations can keep."""

RunbookPart = Literal["detection", "mitigation", "verification", "contacts", "rollback", "pitfalls", "drill"]
PARTS: Final[tuple[RunbookPart, ...]] = (
    "detection",
    "mitigation",
    "verification",
    "contacts",
    "rollback",
    "pitfalls",
    "drill",
)


class MissingPart(NamedTuple):
    """Something that a runbook lacks.

    Attributes:
        part: the part of the runbook.
        text: what is missing, and what to do.
        table: table of `radiosonde.toml` to which *line* belongs; ``""`` if no line helps.
        line: the line to add.
    """

    part: RunbookPart
    text: str
    table: str = ""
    line: str = ""


@dataclass(frozen=True, slots=True)
class LintReport:
    """The missing parts of the runbooks of one model.

    Attributes:
        model: the model.
        configuration: the configuration to complete.
        missing: missing parts, in the order of `PARTS`.
    """

    model: str
    configuration: str
    missing: tuple[MissingPart, ...]

    @property
    def complete(self) -> tuple[RunbookPart, ...]:
        """The parts of which nothing is missing."""
        lacking = {each.part for each in self.missing}
        return tuple(part for part in PARTS if part not in lacking)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists and text; schema `SCHEMA`."""
        missing = [each._asdict() for each in self.missing]
        return {"schema": SCHEMA, **asdict(self), "missing": missing, "complete": list(self.complete)}


def lint(model: str, config: ModelConfig, path: Path | None, diagnosis: Diagnosis | None, today: dt.date) -> LintReport:
    """Return the missing parts of the runbooks of *model*.

    Args:
        model: the model.
        config: the declarations about it.
        path: the configuration; None if there is none.
        diagnosis: the diagnosis of its store; None if no store is known.
        today: the present day, to judge the age of the last drill.
    """
    found = [
        *_detection(model, config, diagnosis),
        *_mitigation(model, config),
        *_verification(model, diagnosis),
        *(_declared(model, config, "contacts", key) for key in ("owner", "contacts", "escalation", "updates")),
        _declared(model, config, "rollback", "rollback"),
        _declared(model, config, "pitfalls", "pitfalls"),
        _drill(model, config, today),
    ]
    return LintReport(model, place_of(path), tuple(each for each in found if each is not None))


def _detection(model: str, config: ModelConfig, diagnosis: Diagnosis | None) -> Iterator[MissingPart]:
    for key, why in (("slo.failures", "failures"), ("slo.p99", "slow calls")):
        if value_of(config, key) is None:
            gap = gap_of(model, key)
            text = f"no objective of {why} is declared: those that were there from the first window on are found late or not"
            yield MissingPart("detection", text, gap.table, gap.line)
    if diagnosis is None:
        yield MissingPart("detection", "no store is known, so no detection floor is; pass --store or declare `store`")
        return
    models = {each.where.model for each in diagnosis.checked} | {each.where.model for each in diagnosis.not_checked}
    if model not in models:
        yield MissingPart("detection", f"the store holds no windows of {model}: check the name, or let it serve first")
    for absent in diagnosis.missing:
        if absent.where.model == model:
            yield MissingPart("detection", f"{absent.check} is not checked: {absent.because}")


def _mitigation(model: str, config: ModelConfig) -> Iterator[MissingPart]:
    lacking: dict[str, list[str]] = {}
    for kind, text in KINDS.items():
        choices = SUBJECTS[text.subject].choices
        if choices and not any(value_of(config, choice.key) for choice in choices):
            lacking.setdefault(choices[0].key, []).append(kind)
    for key, kinds in lacking.items():
        gap = gap_of(model, key)
        said = f"no mitigation is declared for {', '.join(kinds)}; the first choice: {ACTIONS[key].lower()}"
        yield MissingPart("mitigation", said, gap.table, gap.line)
    for declared in declared_keys(ModelConfig):
        key = ".".join(declared.path)
        if any(is_placeholder(text) for text in _texts(config, declared.path)):
            yield MissingPart("mitigation", f"{key} still holds a placeholder; replace it by the real value")


def _texts(config: ModelConfig, path: tuple[str, ...]) -> Sequence[str]:
    value: Any = config
    for name in path:
        value = getattr(value, name)
    return value if isinstance(value, tuple) else (value,) if isinstance(value, str) else ()


def _verification(model: str, diagnosis: Diagnosis | None) -> Iterator[MissingPart]:
    if diagnosis is None:
        yield MissingPart(
            "verification",
            "no store is known, so no fix can be verified; pass --store or declare `store`",
            "",
            'store = "..."',
        )
        return
    found = {finding.check for finding in diagnosis.incidents if finding.where.model == model}
    for check in diagnosis.checked:
        if check.name in found:  # while an incident goes on, its check has no floor
            continue
        floors = [floor for floor in check.floors if floor.value == floor.value]
        if check.where.model == model and check.subject in ("errors", "latency") and check.floors and not floors:
            yield MissingPart("verification", f"{check.check}: no change, however large, would be noticed yet")


def _declared(model: str, config: ModelConfig, part: RunbookPart, key: str) -> MissingPart | None:
    if value_of(config, key):
        return None
    gap = gap_of(model, key)
    return MissingPart(
        part, f"{key} is not declared: {gap.meaning[:1].lower()}{gap.meaning[1:].rstrip('.')}", gap.table, gap.line
    )


def _drill(model: str, config: ModelConfig, today: dt.date) -> MissingPart | None:
    gap = gap_of(model, "drilled")
    drilled = value_of(config, "drilled")
    if not drilled:
        return MissingPart("drill", "no drill is recorded", gap.table, gap.line)
    days = (today - dt.date.fromisoformat(drilled)).days
    if days > DRILL_DAYS:
        return MissingPart("drill", f"the last drill was {days} days ago ({drilled}); repeat it", gap.table, gap.line)
    if days < 0:
        return MissingPart(
            "drill", f"the last drill is in the future ({drilled}); correct the day", gap.table, gap.line
        )
    return None
