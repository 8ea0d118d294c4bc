"""A study server that has no trial yet: every worker that asks is told to wait."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Waiting:
    """Answers /lease over real HTTP.

    Args:
        token: workers with another one are refused.

    Attributes:
        workers: who asked so far, by name.
    """

    def __init__(self, token: str = "secret") -> None:
        self.workers: dict[str, dict[str, Any]] = {}
        waiting = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                allowed = self.headers["Authorization"] == f"Bearer {token}"
                if allowed:
                    waiting.workers[request["worker"]] = request
                text = json.dumps({"lease": None, "wait": True} if allowed else {"detail": "no"}).encode()
                self.send_response(200 if allowed else 401)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
