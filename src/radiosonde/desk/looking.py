"""The background look: diagnoses the stores, and keeps the `Board` up to date.

A diagnosis takes seconds of CPU, and a page may take none. So it is made in the background (`radiosonde.desk.process`) when a store has grown, with
the engine of ``radiosonde watch`` (`radiosonde.watch.looking`), and the pages show the last look with its time. It asks whether a store has grown when a page is
opened, and every `POLL_S` seconds while the desk was started with ``--watch`` or a page is open for live updates.

An unreadable store does not affect the others; the page names it with the way to repair it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty

from radiosonde._clock import wall_ns
from radiosonde._guard import Guard
from radiosonde._native import SimpleQueue, Thread
from radiosonde.desk.board import Board, IncidentState, ModelState, StoreKind, StoreState
from radiosonde.desk.incidents import incident_states
from radiosonde.desk.series import make_series
from radiosonde.diagnose.feature_panel import KLL_KIND
from radiosonde.diagnose.status import window_length_ns
from radiosonde.errors import RadiosondeError
from radiosonde.model import RUNTIME_MODEL
from radiosonde.sources import Address, StoredSource, open_source
from radiosonde.watch.looking import DiagnosedModel, PolicyOf, StoreLooker

POLL_S = 2.0
"""Seconds between two questions whether a store has grown."""
SHARE = 0.25
"""Share of a core for diagnoses of models that have grown, beyond the first of each."""

CommandOf = Callable[[Sequence[Address], StoredSource], Callable[[str], str]]
"""Makes the function that fills the store into a command."""


class Looking:
    """Diagnoses stores in the background.

    Args:
        stores: their addresses.
        policy_of: returns the declarations about their models.
        command_of: see `CommandOf`.
        watch: look whenever a store has grown, also while no page is open.
        guard: contains internal errors.
        publish: called with each new board, in the thread that looks.
    """

    def __init__(
        self,
        stores: Sequence[Address],
        policy_of: PolicyOf,
        command_of: CommandOf,
        *,
        watch: bool = False,
        guard: Guard | None = None,
        publish: Callable[[Board], None] | None = None,
    ) -> None:
        self._stores = [store.absolute() for store in stores]
        self._policy_of, self._command_of, self._is_watching = policy_of, command_of, watch
        self._guard, self._publish = guard or Guard(), publish
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._is_stopping = False
        self._failures = 0
        self._thread = Thread(self._run, "radiosonde-desk")
        self._looker: StoreLooker | None = None
        self._readable: list[Address] = []
        self._models: dict[str, ModelState] = {}
        self._incidents: dict[str, IncidentState] = {}
        self.board = Board()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End the thread after its current step; a look at a large store is not waited for longer than *timeout_s*."""
        self._is_stopping = True
        self._wake.put(None)
        self._thread.join(timeout_s)

    def ask(self) -> None:
        """Look soon, if a store has grown."""
        self._wake.put(None)

    def turn(self) -> None:
        """Look once, if there is something new."""
        states, readable = self._checked()
        if readable != self._readable or self._looker is None:
            self._readable, self._models, self._incidents = readable, {}, {}
            self._looker = StoreLooker(
                readable, self._policy_of, share=SHARE, sketches=(KLL_KIND,), diagnosed=self._take_over
            )
        if states != self.board.stores:
            self._show(stores=states)
        if not readable:
            self._show(is_looking=False, looked_ns=wall_ns(), models={}, incidents={}, waiting=())
            return
        if self.board.looked_ns is not None and not self._looker.has_grown(wall_ns()):
            if self.board.is_looking:
                self._show(is_looking=False)
            return
        self._show(is_looking=True, waiting=self._waiting())
        look = self._looker.look(wall_ns())
        self._show(
            is_looking=look.is_partial,
            is_stale=look.diagnosis.is_stale,
            looked_ns=wall_ns(),
            waiting=self._waiting(),
        )
        self._failures = 0
        if not self.board.waiting:
            self._show(problem="")
        if look.is_partial:
            self._wake.put(None)

    def _run(self) -> None:
        while not self._is_stopping:
            is_done = False
            with self._guard("desk_look"):
                try:
                    self.turn()
                except (RadiosondeError, OSError) as error:
                    self._fail(str(error))
                is_done = True
            if not is_done:
                self._fail("the diagnosis ended with an internal error, a bug; the terminal of the desk shows it")
            with suppress(Empty):
                self._wake.get(timeout=POLL_S if self._is_watching else None)
                while not self._wake.empty():
                    self._wake.get_nowait()

    def _fail(self, problem: str) -> None:
        """Show *problem*, and go on with the next model: one that cannot be diagnosed, for a damaged reference, does not hide the others."""
        self._failures += 1
        self._show(problem=problem, is_looking=False, looked_ns=wall_ns())
        if self._failures <= len(self.board.waiting):
            self._wake.put(None)

    def _show(self, **changes: object) -> None:
        changed = replace(self.board, **changes)  # type: ignore[arg-type]  # names and types are those of Board
        if changed != self.board:
            self.board = replace(changed, number=self.board.number + 1)
            if self._publish is not None:
                self._publish(self.board)

    def _checked(self) -> tuple[tuple[StoreState, ...], list[Address]]:
        """Return the state of each store, and the stores that can be read."""
        states, readable = [], []
        for store in self._stores:
            try:
                source = open_source(store, sketches=False, label_cells=False)
                held = sum(place.held_bytes() for place in source.places)
                written_ns = source.last_written_ns()
            except (RadiosondeError, OSError) as error:
                states.append(StoreState(str(store), "unreadable", _advice(store, error)))
                continue
            kind: StoreKind = "empty" if written_ns is None else "ready"
            states.append(StoreState(str(store), kind, "", held, written_ns))
            readable.append(store)
        return tuple(states), readable

    def _waiting(self) -> tuple[str, ...]:
        source = open_source(self._readable, sketches=False, label_cells=False)
        known = {model for place in source.places for model, _, _ in place.spans()}
        return tuple(sorted(known - {RUNTIME_MODEL} - set(self._models)))

    def _take_over(self, diagnosed: DiagnosedModel) -> None:
        """Make the state of a model that was just diagnosed, and show it."""
        model = diagnosed.model
        series = make_series(model, diagnosed.windows, diagnosed.runtime, diagnosed.references)
        window_ns = window_length_ns(diagnosed.windows)
        self._models[model] = ModelState(model, diagnosed.diagnosis, series, window_ns, wall_ns())
        source = open_source(self._readable, sketches=False, label_cells=False)
        command = self._command_of(self._readable, source)
        made = incident_states(diagnosed, str(self._readable[0]), command, self._incidents)
        others = {name: each for name, each in self._incidents.items() if each.finding.where.model != model}
        self._incidents = others | made
        waiting = tuple(name for name in self.board.waiting if name != model)
        self._show(models=dict(self._models), incidents=dict(self._incidents), waiting=waiting)


def _advice(store: Address, error: Exception) -> str:
    """Return the error of a store with what to do; those of `StoreError` say it already."""
    if isinstance(store, Path) and not store.exists():
        return f"there is no file or folder {store}; correct the path, or start the server that writes it (RADIOSONDE_STORE={store})"
    return str(error)
