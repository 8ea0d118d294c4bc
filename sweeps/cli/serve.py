"""``sweep serve``: a study server for a team."""

from __future__ import annotations

from pathlib import Path

import click

from sweeps.cli import options


@click.command(epilog="Example:  sweep serve --host 0.0.0.0 --token-file token --certificate cert.pem --key key.pem")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for a network.")
@click.option("--port", default=8600, show_default=True, type=click.IntRange(0, 65535))
@click.option("--token-file", type=click.Path(path_type=Path), help="File that holds the token. [SWEEP_TOKEN holds it]")
@click.option("--certificate", type=click.Path(path_type=Path), help="PEM file: the server speaks TLS.")
@click.option("--key", type=click.Path(path_type=Path), help="PEM file of the certificate's private key.")
@click.option(
    "--work-dir", type=click.Path(path_type=Path), default=Path("work_dirs"), show_default=True,
    help="Folder of the studies' spaces and plugins.",
)  # fmt: skip
@click.option(
    "--artifacts", envvar="SWEEP_ARTIFACTS", metavar="PLACE",
    help="Folder or s3://BUCKET/PREFIX of what workers send. [beside an SQLite file, else in ~/.local/state/sweep]",
)  # fmt: skip
@click.option(
    "--disk-budget", envvar="SWEEP_DISK_BUDGET", type=options.Bytes(), metavar="SIZE",
    help="Most that they may take, e.g. 200GB: the worst trials' checkpoints go first. [no limit]",
)  # fmt: skip
@click.option("--allow-plugins", is_flag=True, help="Run code that a submitted study brings along.")
@options.storage
def serve(
    host: str,
    port: int,
    token_file: Path | None,
    certificate: Path | None,
    key: Path | None,
    work_dir: Path,
    artifacts: str | None,
    disk_budget: int | None,
    allow_plugins: bool,
    storage: str,
) -> int:
    """Serve studies to a team's workers until Ctrl-C.

    Started again, everything goes on. People submit with `sweep start SPACE --server URL`, workers come with `sweep
    worker --server URL`. Without a token of your own one is made and kept beside the database, readable by you alone.
    """
    from sweeps.run.serve import ServeOptions, serve_until_stopped
    from sweeps.server.app import Address

    address = Address(host, port, certificate, key)
    return serve_until_stopped(
        ServeOptions(storage, work_dir, address, token_file, allow_plugins, artifacts, disk_budget)
    )
