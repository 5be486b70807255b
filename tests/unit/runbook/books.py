"""A finding and a runbook by hand; the runbook with one word in each text that telemetry or a person may have written."""

from __future__ import annotations

from dataclasses import replace

from radiosonde.assets.subject import RunbookStep
from radiosonde.diagnose.finding import Confidence, Finding, NextStep, Onset, Place
from radiosonde.runbook import Runbook
from radiosonde.runbook.declared import gap_of
from radiosonde.runbook.runbook import Mitigation, Said
from tests.factories import HOUR_NS, START_NS

LONG = "a sentence that is long enough to be wrapped, so that each of its words may come first in a line, in which "


def make_book(word: str) -> Runbook:
    """Return a runbook with *word* at the start, in the middle, and at the start of a line of its texts."""
    texts = (word, f"{word} {LONG}{word}", *(f"{LONG[:end]} {word}" for end in range(0, len(LONG), 9)))
    facts = tuple(Said(word, text) for text in texts)
    gap = gap_of("delays", "mitigate.scale")
    return Runbook(
        word,
        "errors",
        "calls fail",
        Mitigation("rollback", "Roll back", f"undo {word}", word, word, None),
        "radiosonde.toml",
        incident="20260101-abcdef",
        title=word,
        detection=facts,
        evidence=texts,
        causes=facts,
        impact=texts,
        find=(RunbookStep(word, "radiosonde incident show /data/store.sqlite name"), RunbookStep(word, f"true {word}")),
        contain=(RunbookStep(word, f"true {word}"),),
        mitigations=(Mitigation("mitigate.scale", "Add processes or cores", "", word, word, gap),),
        verify=(RunbookStep(word, f"true {word}"),),
        wait=f"{word} {LONG}",
        contacts=facts,
        pitfalls=texts,
        handoff=tuple(f"Found: {text}" for text in texts),
        update=tuple(f"Found: {text}" for text in texts),
        gaps=(gap,),
    )


def make_finding(kind="errors", **changes):
    """Return an open incident of the model ``delays`` in its thirtieth hour."""
    onset = START_NS + 30 * HOUR_NS
    made = Finding(
        f"{kind}.x", kind, "page", "calls fail", "Calls fail.", Place("delays"), Onset(onset, onset, onset),
        Confidence(30.0, "beyond doubt"), next_steps=(NextStep("the rows", "sqlite3 -box STORE 'SELECT 1'"),),
        opened_ns=onset + HOUR_NS, id="20130302-abcdef", check="failures",
    )  # fmt: skip
    return replace(made, **changes)
