"""``sweep dashboard``: optuna-dashboard over the database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import click

from sweeps.cli import options


@click.command(epilog="Example:  sweep dashboard --port 8081")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@options.storage
def dashboard(host: str, port: int, storage: str) -> None:
    """Serve optuna-dashboard over the database, for reading.

    Until Ctrl-C. A trial's page shows a picture of what its model found beside the labels.
    """
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    import optuna_dashboard
    from optuna.storages import get_storage

    from results.database.urls import named
    from results.store import Store
    from runner.errors import UserError
    from sweeps.access import artifact_store
    from sweeps.artifacts import open_backend
    from sweeps.server.listening import listening

    class Threads(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return None

    with Store.open(storage, readonly=True):
        pass  # a clear line if it is not ours
    # a storage object, not the URL: with the URL every refresh reads the whole study anew
    backend = None
    with contextlib.suppress(UserError):  # without its artifacts it shows all else
        backend = open_backend(artifact_store.where(storage))
    app = optuna_dashboard.wsgi(get_storage(storage), artifact_store=backend)
    with listening(host, port):
        server = make_server(host, port, read_only(app), server_class=Threads, handler_class=Quiet)
    with server:
        shown = named(storage)
        click.echo(f"http://{host}:{server.server_port}/ shows {shown}, for reading; Ctrl-C ends it", err=True)
        server.serve_forever()


def read_only(app: Callable[..., Any]) -> Callable[..., Any]:
    """The app without what writes: one process owns the database, and its buttons delete studies and end trials."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start_response)
        start_response("405 Method Not Allowed", [("Content-Type", "application/json"), ("Allow", "GET, HEAD")])
        return [b'{"reason": "this dashboard only reads"}']

    return answer
