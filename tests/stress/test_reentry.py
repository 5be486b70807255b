"""Predictions from inside a garbage collection, a signal handler or a finaliser: nothing waits for itself, nothing is lost."""

from __future__ import annotations

from tests.stress._scripts import run, stored_calls


def test_finalisers_that_predict(tmp_path):
    """Objects in cycles predict and count losses when they are collected, at any allocation of Radiosonde.

    In a context of their own: on CPython 3.11 a collection may run inside `ContextVar.set`, and a finaliser that sets a
    variable of the same context then frees what the outer call is copying (a crash of the interpreter's, not of ours).
    """
    store = tmp_path / "store.db"
    ended = run(
        """
        import contextvars, gc
        made = [0]
        @rs.observe("last words")
        def farewell(row): return "bye"
        class Dying:
            def __init__(self): self.me = self
            def __del__(self): contextvars.Context().run(self.die)
            def die(self):
                made[0] += 1
                farewell(ROW)
                with rs.stage("outside"): pass
                with rs.cohort(plan=made[0] % 3): farewell(ROW)
        gc.set_threshold(7)
        for count in range(3000):
            Dying()
            predict(ROW)
            if count % 500 == 0: rs.flush()
            time.sleep(0.0001)
        gc.set_threshold(700)
        gc.collect()
        rs.flush()
        found = rs.statistics()
        assert made[0] == 3000, made
        lost = {reason: count for reason, count in found.losses.items() if count}
        assert lost == {"stage_outside": 3000}, lost
        assert found.records == 9000, found
        assert found.guarded == {}, found
        """,
        store,
        timeout_s=100,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    assert sum(stored_calls(store).values()) == 9000


def test_a_signal_handler_that_predicts(tmp_path):
    """A timer interrupts single predictions, batches, flushes and its own kind; every call is counted exactly."""
    store = tmp_path / "store.db"
    ended = run(
        """
        import contextvars
        handled, calls, nested, over, batch = [], [], [], [], np.zeros((50, 3))
        @rs.observe("interrupts")
        def interrupt(rows): return ["a"] * len(rows)
        def again():
            if not over: signal.setitimer(signal.ITIMER_REAL, 0.003)
        def handle(*_):
            handled.append(None)  # handlers interrupt each other: counting is appending
            nested.append(None)
            # One timer a handler, and ten of them in each other: while one flushes to a slow disk, a timer that goes on
            # by itself would pile them up to the interpreter's recursion limit.
            if len(nested) < 10: again()
            # In contexts of their own: inside a prediction of the same model they would be a part of that one.
            contextvars.Context().run(interrupt, ROW if len(handled) % 2 else batch)
            calls.append(None)
            if len(handled) % 50 == 0: rs.flush()
            if len(handled) % 7 == 0:
                contextvars.Context().run(predict, batch)
                calls.append(None)
            nested.pop()
            if len(nested) == 9: again()
        signal.signal(signal.SIGALRM, handle)
        again()
        count = 0
        begun = time.monotonic()
        while time.monotonic() - begun < 3:
            predict(ROW)
            predict(batch)
            count += 2
            if count % 400 == 0: rs.flush()
        over.append(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        rs.flush()
        found = rs.statistics()
        expected = count + len(calls)
        assert len(handled) > 30
        assert found.records == expected, (expected, found)
        assert found.guarded == {}, found
        print(found.records)
        """,
        store,
        timeout_s=100,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sum(stored_calls(store).values()) == int(ended.stdout)


def test_a_flush_inside_a_flush_gives_up(tmp_path):
    """A handler that flushes while its own thread is flushing returns False at once instead of waiting for itself."""
    ended = run(
        """
        answers = []
        def handle(*_): answers.append(rs.flush(30))
        signal.signal(signal.SIGALRM, handle)
        predict(ROW)
        rs.flush()
        from radiosonde._api.surface import SURFACE
        pipeline = SURFACE.pipeline()
        export = pipeline._delivery.export
        def interrupted(*arguments):
            signal.raise_signal(signal.SIGALRM)
            return export(*arguments)
        pipeline._delivery.export = interrupted
        begun = time.monotonic()
        assert rs.flush()
        assert answers == [False], answers
        assert time.monotonic() - begun < 9
        """,
        tmp_path / "store.db",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
