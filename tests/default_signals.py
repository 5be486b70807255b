"""Default signals for the programs that tests start: loaded by pytest as a plug-in (pyproject.toml).

`nohup` ignores SIGHUP and a script's `&` ignores SIGINT. Programs inherit that, and a test that ends one by such a signal
waits in vain. A handler is not inherited, so one that does nothing ignores the signal in pytest and only there.
"""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Set the handlers before any test runs."""
    start_programs_with_default_signals()


def start_programs_with_default_signals() -> None:
    """Put a handler that does nothing in place of each ignored signal. For the main thread."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
