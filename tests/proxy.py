"""A TCP proxy on the loopback address that can spoil a connection: drop, delay, cut in mid-message, fall silent."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

Way = Literal["up", "down"]  # up: towards the server
_BLOCK = 64 * 1024


@dataclass(eq=False)
class _Link:
    """One connection: the client's socket and the one to the server."""

    client: socket.socket
    server: socket.socket

    def cut(self) -> None:
        """Ends both at once, in the middle of whatever they say: the peers get a reset, no orderly end."""
        for one in (self.client, self.server):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it
            with contextlib.suppress(OSError):
                one.close()


@dataclass
class Proxy:
    """Hands every connection on to a server. Faults can be set at any time, from any thread.

    Attributes:
        target: (host, port) of the server; it may be away, or change.
        url: what a client is given instead of the server's.
        refusing: new connections end at once.
        silent: nothing is handed on, in either way, as when packets are lost; it arrives once that is over.
        delay: seconds that every block takes longer.
        passed: bytes that were handed on, by way.
        connections: how many were made.
    """

    target: tuple[str, int]
    url: str = ""
    refusing: bool = False
    silent: bool = False
    delay: float = 0.0
    passed: dict[Way, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    connections: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._cuts: list[tuple[Way, int]] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, size: int, way: Way = "up", times: int = 1) -> None:
        """Cuts a connection once so many more bytes have passed that way; `times` times, one after the other."""
        with self._lock:
            self._cuts += [(way, size)] * times

    @property
    def cuts_left(self) -> int:
        """How many ordered cuts have not come about yet."""
        return len(self._cuts)

    def drop(self) -> None:
        """Cuts every connection there is."""
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            link.cut()

    def close(self) -> None:
        """Ends it."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refusing:
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.target, timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        link = _Link(client, server)
        with self._lock:
            self._links.add(link)
        for ends in ((client, server, "up"), (server, client, "down")):
            threading.Thread(target=self._pump, args=(link, *ends), daemon=True).start()

    def _pump(self, link: _Link, source: socket.socket, sink: socket.socket, way: Way) -> None:
        try:
            while data := source.recv(_BLOCK):
                if self.delay:
                    time.sleep(self.delay)
                while self.silent and not self._closed and link in self._links:
                    time.sleep(0.01)
                allowed, cut = self._allowed(way, len(data))
                sink.sendall(data[:allowed])
                if cut:
                    break
            else:  # one side has said all it had to say; the other may go on
                sink.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        with self._lock:
            self._links.discard(link)
        link.cut()

    def _allowed(self, way: Way, size: int) -> tuple[int, bool]:
        """How many of these bytes pass, and whether the connection is cut after them."""
        with self._lock:
            cut = bool(self._cuts) and self._cuts[0][0] == way and self._cuts[0][1] <= size
            if cut:
                size = self._cuts.pop(0)[1]
            elif self._cuts and self._cuts[0][0] == way:
                self._cuts[0] = (way, self._cuts[0][1] - size)
            self.passed[way] += size
            return size, cut


@contextlib.contextmanager
def proxy_to(url: str) -> Iterator[Proxy]:
    """A proxy before the server at a URL; it ends with the block."""
    parts = urlsplit(url)
    proxy = Proxy((parts.hostname or "127.0.0.1", parts.port or 80))
    try:
        yield proxy
    finally:
        proxy.close()
