"""``sweep dashboard``: optuna-dashboard over the database."""

from __future__ import annotations

import click

from sweeps.cli import options


@click.command(epilog="Example:  sweep dashboard --port 8081")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@options.storage
def dashboard(host: str, port: int, storage: str) -> None:
    """Serve optuna-dashboard over the database, until Ctrl-C."""
    import optuna_dashboard
    from optuna.storages import get_storage

    from results.store import Store

    with Store.open(storage, readonly=True):
        pass  # a clear line if it is not ours
    click.echo(f"http://{host}:{port}/ shows {storage}; Ctrl-C ends it", err=True)
    # a storage object, not the URL: with the URL every refresh reads the whole study anew
    optuna_dashboard.run_server(get_storage(storage), host=host, port=port)
