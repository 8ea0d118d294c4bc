"""A network between a program and its PostgreSQL server that loses answers to commits: done, but nobody hears it."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from types import TracebackType
from typing import Self

_COMMIT = b"Q\0\0\0\x0bCOMMIT\0"  # a simple query of PostgreSQL's protocol


class Lossy:
    """Passes everything on, but cuts a connection where the answer to some COMMIT would come back.

    Args:
        port: of the server.
        share: how many of them, 0 to 1.
        seed: which.

    Attributes:
        port: to connect to.
        lost: answers lost so far.
    """

    def __init__(self, port: int, share: float, seed: int) -> None:
        self._server, self._share, self._random = port, share, random.Random(seed)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._lock = threading.Lock()
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                doomed = threading.Event()
                threading.Thread(target=self._ask, args=(client, server, doomed), daemon=True).start()
                threading.Thread(target=self._answer, args=(client, server, doomed), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if _COMMIT in data and self._due():
                    doomed.set()
                server.sendall(data)
        _cut(client, server)

    def _answer(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (data := server.recv(65536)) and not doomed.is_set():
                client.sendall(data)
        _cut(client, server)

    def _due(self) -> bool:
        with self._lock:
            due = self._random.random() < self._share
            self.lost += due
            return due


def _cut(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
