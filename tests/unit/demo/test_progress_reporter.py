from __future__ import annotations

import io
import os
import pty
from contextlib import suppress

from radiosonde.cli._terminal import console_on
from radiosonde_demo.progress_reporter import reporter_for
from radiosonde_demo.replay import ReplayTally


def test_without_a_terminal_progress_is_a_line_per_tenth():
    """A replay of 200 flights into a file is ten lines, the first with the date that the replay has reached."""
    stream = io.StringIO()
    with reporter_for(stream, console_on) as reporter:
        reporter.say("Replaying")
        for flown in range(1, 201):
            reporter.progress(
                ReplayTally(predictions=flown - flown // 50, failures=flown // 50, event_s=1_362_145_200), 200
            )
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Replaying"
    assert lines[1] == "   10 %  Fri 01 Mar 2013  20 predictions, 0 labels, 0 errors"
    assert lines[-1] == "  100 %  Fri 01 Mar 2013  196 predictions, 0 labels, 4 errors"
    assert len(lines) == 11


def read_to_the_end(screen):
    """Read the rest of a closed terminal; Linux reports its end as an error."""
    chunks = []
    with suppress(OSError):
        while chunk := screen.read(65_536):
            chunks.append(chunk)
    return b"".join(chunks).decode()


def test_on_a_terminal_progress_is_a_bar():
    """On a terminal the steps are lines, and the bar ends at its end."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        with os.fdopen(theirs, "w") as terminal, reporter_for(terminal, console_on) as reporter:
            reporter.say("Replaying [31 days]")
            reporter.progress(ReplayTally(predictions=200, event_s=1_362_145_200), 200)
        shown = read_to_the_end(screen)
    assert "Replaying [31 days]" in shown
    assert "100%" in shown
