"""Run the demo's server in its own process: ``python -m radiosonde_demo._serve FOLDER``.

It listens on a free port of 127.0.0.1, writes the port as one line to standard output once it answers, and ends when
its standard input does. The parent holds the other end of that pipe, so the server ends with its parent even when the
parent is killed outright and can do nothing more about it.
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

import uvicorn

import radiosonde as rs
from radiosonde_demo.server import create_app


class _AnnouncingServer(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            sys.stdout.write(f"{sockets[0].getsockname()[1]}\n")
            sys.stdout.flush()


SWITCH_INTERVAL_S = 0.0005
"""A replay packs three weeks into a minute, so Radiosonde's own thread has as much to do as the model. At Python's
default of 5 ms between threads that shows in the model's latency (p90 2.8 ms instead of 1.1 ms); in real time it is idle."""


def _serve(folder: Path) -> None:
    # asyncio switches Nagle's algorithm off only where a socket names its protocol; without the name each answer, which
    # uvicorn writes in two parts, waits 40 ms for a delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    # No access log: 30 000 lines of it would be a third of the server's time.
    server = _AnnouncingServer(uvicorn.Config(create_app(folder), access_log=False, timeout_graceful_shutdown=5))

    def end_with_the_parent() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=end_with_the_parent, daemon=True).start()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    server.run(sockets=[listener])
    sys.stderr.write(f"{rs.statistics()}\n")  # the instrument's account of itself, last line of the log


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
