"""Interrupts code at each of its instructions in turn, as a signal handler or a finaliser may."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any


def interrupt_everywhere(module: ModuleType, call: Callable[[], object], handler: Callable[[], object]) -> int:
    """Run *call* again and again, each time with *handler* before the next instruction in *module*; return how often.

    Fails where *handler* waits for what it has interrupted.
    """
    runs = 0
    failures: list[BaseException] = []

    def run() -> None:
        nonlocal runs
        try:
            while _run(module.__file__, runs, call, handler):
                runs += 1
        except BaseException as failure:  # noqa: BLE001 - raised below, in the thread of the test
            failures.append(failure)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), f"interrupted at instruction {runs}, it waits for itself"
    if failures:
        raise failures[0]
    return runs


def _run(file: str | None, place: int, call: Callable[[], object], handler: Callable[[], object]) -> bool:
    """Interrupt one run of *call* before an instruction; return whether there was one that late."""
    left = place

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != file:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == -1:
                handler()  # not traced: it runs inside the trace function
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return left < 0
