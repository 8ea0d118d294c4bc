"""A real HTTP server on loopback that gives files, wrong ones as well."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Shelf:
    """What the server gives, and what was asked of it.

    Attributes:
        files: path -> content.
        faults: path -> number of requests that are answered by 503 first; -1 is all.
        cut: path -> bytes after which the connection is closed.
        moved: path -> other path.
        headers: path -> more headers.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, path: str, content: bytes) -> str:
        """The address of `content` from now on."""
        self.files[path] = content
        return f"{self.url}{path}"

    def put_model(self, name: str, files: dict[str, bytes], commit: str = "c0ffee" + "0" * 34) -> None:
        """A model as a Hugging Face hub gives it."""
        listing = {
            "id": name, "sha": commit, "siblings": [{"rfilename": file} for file in files], "private": False,
        }  # fmt: skip
        for revision in ("main", commit):
            self.files[f"/api/models/{name}/revision/{revision}"] = json.dumps(listing).encode()
            tree = [{"type": "file", "path": f, "size": len(c), "oid": "0" * 40} for f, c in files.items()]
            self.files[f"/api/models/{name}/tree/{revision}"] = json.dumps(tree).encode()
            for file, content in files.items():
                path = f"/{name}/resolve/{revision}/{file}"
                self.files[path] = content
                self.headers[path] = {"ETag": f'"{hash((file, content)) & 0xFFFFFFFF:08x}"', "X-Repo-Commit": commit}


@contextmanager
def serving() -> Iterator[Shelf]:
    """A server that ends with the block."""
    shelf = Shelf()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            shelf.asked.append(path)
            left = shelf.faults.get(path, 0)
            if left:
                shelf.faults[path] = left - 1
                self.head(503, 0)
            elif path in shelf.moved:
                self.head(302, 0, {"Location": shelf.moved[path]})
            elif path in shelf.files:
                content = shelf.files[path]
                self.head(200, len(content), shelf.headers.get(path, {}))
                if body:
                    self.wfile.write(content[: shelf.cut.get(path)])
                    if path in shelf.cut:
                        self.close_connection = True
            else:
                self.head(404, 0)

        def head(self, status: int, size: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(size))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        shelf.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield shelf
        finally:
            server.shutdown()
            thread.join()
