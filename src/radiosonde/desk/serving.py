"""Serves the desk on this machine until it is interrupted."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from radiosonde.desk.app import make_app
from radiosonde.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from radiosonde.desk.process import LookingProcess

HOST = "127.0.0.1"


def serve(looking: LookingProcess, port: int, ready: Callable[[str], None]) -> None:
    """Serve the desk, with the background look, until SIGINT or SIGTERM.

    Args:
        looking: the background look; started and stopped here.
        port: the port; 0 for a free one.
        ready: called with the address, once it is open.

    Raises:
        ConfigurationError: the port is taken, or may not be used.
    """
    import uvicorn

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"port {port} of {HOST} is not available ({error}); pass --port 0 for a free one"
            ) from error
        listener.listen(64)
        config = uvicorn.Config(
            make_app(looking),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            lifespan="off",
        )
        looking.start()
        try:
            ready(f"http://{HOST}:{listener.getsockname()[1]}/")
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            looking.stop()
