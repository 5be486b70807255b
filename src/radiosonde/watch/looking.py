"""Diagnoses growing stores: selects the models to diagnose, and merges their diagnoses.

A diagnosis of one model reads all its windows: two seconds for 200 features and two days of minutes. Twenty of them a minute would take
two thirds of a core, so a diagnosis has two parts:

* At every window the parts that were written since are taken over by detectors that are kept up (`radiosonde.diagnose.live`), a millisecond
  a model. Any change there (failing or slow calls) makes the model urgent: it is diagnosed at once. So does a sudden change of its calls, and
  calls or labels that stop (`radiosonde.watch.arrivals`): a model that is not called any more has no window that could show it.
* The other models are diagnosed in turn, the least recently diagnosed first, within a share of a core. With few models or features that is
  at every window.

A window whose end has not come by the wall clock is left out of a diagnosis: an agent writes it in parts every few seconds, and half a
minute of calls would be taken for a drop. Windows of a replay, whose event time is of another year, are all whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from radiosonde._clock import NS, monotonic_ns, thread_time_ns
from radiosonde.diagnose import Diagnosis, Finding, Freshness, Policy, check
from radiosonde.diagnose.live import LiveDiagnosis
from radiosonde.diagnose.status import window_length_ns
from radiosonde.errors import StoreError
from radiosonde.model import RUNTIME_MODEL, Exemplar, Window
from radiosonde.reference.codec import from_text
from radiosonde.reference.profile import Reference
from radiosonde.sources import Address, StoredSource, open_source
from radiosonde.store import Interval
from radiosonde.store.reader import StoreReader
from radiosonde.watch.answers import ModelAnswer, example_of, examples_of, put_together
from radiosonde.watch.arrivals import Arrivals
from radiosonde.watch.frugal import frugal_windows

SETTLES_NS = 5 * NS
"""How long the parts of a window may take to be written."""
LATE_NS = 3600 * NS
"""Parts that are this much older than the newest are no late ones but hours that were added up."""
MOST_CREDIT_S = 600.0
"""Seconds of the past whose share of a core may be used at once."""
ONE_LOOK_NS = NS
"""CPU time after which other models are left to the next run."""

Spans = set[tuple[int, int]]
"""Start and end of windows."""
PolicyOf = Callable[[Sequence[Address], StoredSource], Policy]


class Look(NamedTuple):
    """Results of one run.

    Attributes:
        diagnosis: diagnosis of all models, each as of its last one.
        window_ns: length of the windows.
        before_ns: end of the newest window of the previous diagnosis, by model; absent for new models.
        is_partial: further models are to be diagnosed as soon as possible.
        example: returns an affected call of a finding; None if unknown.
    """

    diagnosis: Diagnosis
    window_ns: int
    before_ns: Mapping[str, int]
    is_partial: bool
    example: Callable[[Finding], Exemplar | None]


class DiagnosedModel(NamedTuple):
    """A model that was just diagnosed, with everything that the diagnosis was made from.

    Attributes:
        model: the model.
        windows: its windows.
        runtime: windows with the health of the processes.
        references: its references, by (model, version).
        policy: declarations of its owners.
        diagnosis: the diagnosis of this model alone.
    """

    model: str
    windows: Sequence[Window]
    runtime: Sequence[Window]
    references: Mapping[tuple[str, str], Reference]
    policy: Policy
    diagnosis: Diagnosis


class Looker(Protocol):
    """Something that can be diagnosed again and again."""

    def has_grown(self, now_ns: int) -> bool:
        """Return whether there is new data since the last run. Cheap."""
        ...

    def look(self, now_ns: int) -> Look:
        """Diagnose."""
        ...


@dataclass(slots=True)
class _Known:
    """State kept between two runs."""

    answers: dict[str, ModelAnswer] = field(default_factory=dict)
    grown: set[str] = field(default_factory=set)
    urgent: set[str] = field(default_factory=set)
    newest_ns: dict[str, int] = field(default_factory=dict)
    read: dict[Address, tuple[int, int]] = field(default_factory=dict)
    held: list[Window] = field(default_factory=list)  # parts of windows that have not ended
    policy: Policy | None = None


class StoreLooker:
    """Diagnoses stores.

    Args:
        stores: as for `open_source`; a folder may get new stores meanwhile.
        policy_of: returns the policy; called in each run.
        model: this model only; None for all.
        require: as for `check`.
        share: share of a core for diagnoses that are not urgent; None to diagnose every model in every run.
        sketches: kinds of sketches to read. Unit breaks are found in the values that sketches retain; they are most of the bytes.
        diagnosed: called with each model after its diagnosis, in the thread of `look`.
    """

    def __init__(
        self,
        stores: Sequence[Address],
        policy_of: PolicyOf,
        *,
        model: str | None = None,
        require: Collection[str] | None = None,
        share: float | None = None,
        sketches: Sequence[str] = (),
        diagnosed: Callable[[DiagnosedModel], None] | None = None,
    ) -> None:
        self._stores, self._policy_of = list(stores), policy_of
        self._sketches, self._diagnosed = tuple(sketches), diagnosed
        self._model, self._require, self._share = model, require, share
        self._known, self._live = _Known(), LiveDiagnosis()
        self._arrivals: Arrivals | None = None
        self._seen: object = None
        self._credit_ns, self._credited_ns = 0.0, monotonic_ns()
        self._references: dict[str, Reference] = {}

    def has_grown(self, now_ns: int) -> bool:
        """Return whether a source has new parts since the last run, or a model still waits.

        Raises:
            StoreError: a store cannot be read.
        """
        del now_ns
        began_ns = thread_time_ns()
        try:
            return self._has_grown()
        finally:
            self._credit_ns -= thread_time_ns() - began_ns

    def _has_grown(self) -> bool:
        known = self._known
        if known.urgent or known.grown - known.answers.keys() or (known.grown and self._can_afford()):
            return True
        return self._marks(open_source(self._stores, sketches=False, label_cells=False)) != self._seen

    def look(self, now_ns: int) -> Look:
        """Read new parts, and diagnose the selected models.

        Raises:
            StoreError: a store cannot be read.
            ConfigurationError: the configuration cannot be read.
        """
        began_ns = thread_time_ns()
        # By column only with sketches: it takes the memory of DuckDB, which a watch beside a server does not have to spare.
        is_desk = bool(self._sketches)
        source = open_source(self._stores, sketches=self._sketches or False, label_cells=False, batched=is_desk)
        marks = self._marks(source)
        policy = self._policy_of(self._stores, source)
        self._live.policy = policy
        spans = functools.cache(lambda: self._spans(source))  # read where something is diagnosed, and at first
        self._take_over(source, policy, lambda: {model for model, _, _ in spans()}, now_ns - SETTLES_NS)
        before = {model: answer.diagnosis.end_ns for model, answer in self._known.answers.items()}
        runtime = None
        for model in self._worth_it():
            runtime = self._runtime(source, now_ns) if runtime is None else runtime
            times = {
                is_mine: {span[1:] for span in spans() if (span[0] == model) is is_mine} for is_mine in (True, False)
            }
            self._diagnose(model, source, policy, (now_ns, runtime, times[True], times[False]))
            if self._share is not None and thread_time_ns() - began_ns > ONE_LOOK_NS:
                break
        self._seen = marks
        look = self._put_together(source, now_ns, before)
        self._credit_ns -= thread_time_ns() - began_ns
        return look

    def _put_together(self, source: StoredSource, now_ns: int, before: Mapping[str, int]) -> Look:
        answers = self._known.answers
        window_ns = max((answer.window_ns for answer in answers.values()), default=0)
        written_ns = source.last_written_ns()
        is_stale = written_ns is not None and Freshness(written_ns, now_ns).is_stale(window_ns)
        diagnosis = put_together(list(answers.values()), written_ns, is_stale=is_stale and bool(answers))
        is_partial = bool(self._known.urgent) or any(model not in answers for model in self._known.grown)
        examples = {each: call for answer in answers.values() for each, call in answer.examples.items()}
        return Look(diagnosis, window_ns, before, is_partial, lambda finding: examples.get(finding.id))

    # New parts ------------------------------------------------------------------------------------------------------

    def _take_over(
        self, source: StoredSource, policy: Policy, models: Callable[[], Collection[str]], until_ns: int
    ) -> None:
        """Feed the live detectors with the parts written since the last run."""
        known = self._known
        came: list[Window] = []
        lived: list[Window] = []
        for place in source.places:
            number, last = place.mark()
            former = known.read.get(place.path)
            known.read[place.path] = (number, last)
            if former == (number, last):
                continue
            is_followed = isinstance(place, StoreReader) and former is not None and former[0] == number
            if not is_followed:
                known.grown |= set(models())  # a new place, or one that has no order
                continue
            after = former[1] if former else 0
            came += [window for _, window in place.parts(Interval(model=self._model, after=after))]
            lived += [window for _, window in place.parts(Interval(runtime=True, after=after))]
        if policy != known.policy:
            known.policy = policy
            known.grown |= set(models())
            known.urgent |= {model for model, answer in known.answers.items() if answer.diagnosis.incidents}
        for window in came:
            known.grown.add(window.key.model)
            known.newest_ns[window.key.model] = max(known.newest_ns.get(window.key.model, 0), window.end_ns)
        held = (*known.held, *came, *lived)
        whole = [window for window in held if window.end_ns <= until_ns]
        known.held = [window for window in held if window.end_ns > until_ns]
        fresh = [
            window
            for window in whole
            if window.key.model in known.answers and window.end_ns > known.newest_ns[window.key.model] - LATE_NS
        ]
        known.urgent |= {change.model for change in self._live.advance(fresh) if change.what != "verified"}
        known.urgent |= self._live.slowed
        if self._arrivals is not None:
            counted = [window for window in whole if window.key.model in (*known.answers, RUNTIME_MODEL)]
            known.urgent |= self._arrivals.add(counted)

    def _worth_it(self) -> Iterator[str]:
        """Yield the models to diagnose now: urgent ones, then those that grew, the least recently diagnosed first."""
        known = self._known
        for model in sorted(known.urgent):
            known.urgent.discard(model)
            known.grown.discard(model)
            yield model
        waiting = sorted(
            known.grown, key=lambda each: (known.answers[each].looked_ns if each in known.answers else 0, each)
        )
        for model in waiting:
            if model in known.answers and not self._can_afford():
                return
            known.grown.discard(model)
            yield model

    def _can_afford(self) -> bool:
        if self._share is None:
            return True
        now = monotonic_ns()
        earned = self._share * (now - self._credited_ns)
        self._credit_ns = min(self._credit_ns + earned, self._share * MOST_CREDIT_S * NS)
        self._credited_ns = now
        return self._credit_ns > 0

    # One model ------------------------------------------------------------------------------------------------------

    def _diagnose(
        self, model: str, source: StoredSource, policy: Policy, given: tuple[int, list[Window], Spans, Spans]
    ) -> None:
        now_ns, runtime, mine, beside = given
        first_ns, last_ns = min((start for start, _ in mine), default=0), max((end for _, end in mine), default=0)
        stored = frugal_windows(source, model, first_ns, last_ns)
        windows = [window for window in stored if window.end_ns <= now_ns - SETTLES_NS]
        if not windows:
            return
        # Of other models only the times are used: they show that counting worked.
        others = [
            replace(
                windows[0],
                key=windows[0].key._replace(model=""),
                start_ns=start,
                end_ns=end,
                calls=0,
                errors={},
                features=None,
            )
            for start, end in beside
            if end <= now_ns - SETTLES_NS
        ]
        references = self._references_of(source, model)
        diagnosis = check(
            [*windows, *others, *runtime],
            references,
            model=model,
            require=self._require,
            policy=policy,
        )
        former = self._known.answers.get(model)
        if former is None:
            self._live.advance(windows)  # from here on it is kept up
            self._arrivals = self._arrivals or Arrivals(window_length_ns(windows))
            self._arrivals.know(windows)
        examples = examples_of(windows)
        called = {each.id: call for each in diagnosis.incidents if (call := example_of(examples, each)) is not None}
        answer = ModelAnswer(model, diagnosis, window_length_ns(windows), monotonic_ns(), called)
        self._known.answers[model] = answer
        newest_ns = max(window.end_ns for window in stored)
        self._known.newest_ns[model] = max(self._known.newest_ns.get(model, 0), newest_ns)
        if len(stored) > len(windows):
            self._known.grown.add(model)  # a window has not ended yet
        if self._diagnosed is not None:
            self._diagnosed(DiagnosedModel(model, windows, runtime, references, policy, diagnosis))

    def _references_of(self, source: StoredSource, model: str) -> dict[tuple[str, str], Reference]:
        """Return the references of *model*, parsed once each."""
        rows = sorted(
            (row for place in source.places for row in place.references() if row.model == model),
            key=lambda row: (row.written_ns, row),
        )
        newest = {(row.model, row.version): row for row in rows}
        for (name, version), row in newest.items():
            if row.document not in self._references:
                origin = f"the stored reference of {name} {version}"
                self._references[row.document] = from_text(row.document, origin=origin)
        return {key: self._references[row.document] for key, row in newest.items()}

    @staticmethod
    def _runtime(source: StoredSource, now_ns: int) -> list[Window]:
        found = source.runtime_windows(None, now_ns - SETTLES_NS)
        return [window for window in found if window.end_ns <= now_ns - SETTLES_NS]

    def _spans(self, source: StoredSource) -> set[tuple[str, int, int]]:
        """Return model, start and end of all windows, each once."""
        found = {span for place in source.places for span in place.spans()}
        return {span for span in found if span[0] != RUNTIME_MODEL and self._model in (None, span[0])}

    @staticmethod
    def _marks(source: StoredSource) -> object:
        try:
            return [(place.path, place.mark()) for place in source.places]
        except OSError as error:
            raise StoreError(f"{error.filename}: {error.strerror}; check that the store is still there") from error
