"""A shutdown while a writer is being opened: nothing is recorded into a ring that nothing drains; every later call is a loss."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest

from radiosonde.model import losses
from radiosonde.testing import fly

WIDE = np.ones((1, 7))


class Shutter(logging.Handler):
    """Shuts down at the first record on wide features, which is logged while the writer for them is opened."""

    def __init__(self, rs, *, in_thread):
        super().__init__()
        self.rs, self.in_thread, self.threads = rs, in_thread, []

    def emit(self, record):
        """Shut down, in this thread or in another one."""
        if self.threads or "are recorded as a summary" not in record.getMessage():
            return
        self.threads.append(threading.Thread(target=self.rs.shutdown))
        if self.in_thread:
            self.threads[0].start()
            self.threads[0].join(0.05)  # it waits for the opening, or has ended
        else:
            self.rs.shutdown()


BEFORE = {"the first call": [], "no features before": [None], "other features before": [[1.0, 2.0]] * 3}


@pytest.mark.parametrize("in_thread", [False, True], ids=["in this thread", "in another"])
@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE.keys())
def test_no_writer_is_published_after_a_shutdown(before, in_thread):
    """Calls after it are counted as such, all of them; they went into a ring that was drained no more."""
    with fly(max_features=3) as rs:
        predict = rs.observe("m")(lambda row: "a")
        for row in before:
            predict(row)
        shutter = Shutter(rs, in_thread=in_thread)
        logging.getLogger("radiosonde").addHandler(shutter)
        try:
            for _ in range(20):
                if not shutter.threads:
                    predict(WIDE)
        finally:
            logging.getLogger("radiosonde").removeHandler(shutter)
            assert shutter.threads
            if in_thread:
                shutter.threads[0].join()
        after = rs.statistics().losses[losses.CALLS_AFTER_END]
        for _ in range(50):
            assert predict(WIDE) == "a"
        assert rs.statistics().losses[losses.CALLS_AFTER_END] == after + 50
