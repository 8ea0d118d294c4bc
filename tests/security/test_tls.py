"""TLS: who is trusted, and what people read who are not, or who wrote the wrong word before ``://``."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from desk import Desk

from runner.errors import UserError
from runner.protocol import LeaseRequest
from runner.wire.client import Client
from sweeps.access import runfile

TOKEN = "k7-token-of-a-team"
ASK = LeaseRequest(worker="w", owner="Ann", device="cpu")


def authority(folder: Path) -> trustme.CA:
    """Makes an authority, a certificate for 127.0.0.1 with its key, and the authority's own certificate."""
    made = trustme.CA()
    issued = made.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    made.cert_pem.write_to_path(folder / "ca.pem")
    return made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, str]]:
    """A server that speaks TLS, as a process, and its address."""
    desk = Desk(tmp_path_factory.mktemp("tls"))
    authority(desk.folder)
    (desk.folder / "token").write_text(TOKEN + "\n")
    server = desk.spawn(
        "serve", "--port", "0", "--certificate", "cert.pem", "--key", "key.pem", "--token-file", "token"
    )
    storage = f"sqlite:///{desk.folder / 'sweeps.db'}"
    desk.wait_for(lambda: runfile.read(storage) is not None)
    run = runfile.read(storage)
    assert run and run.url.startswith("https://127.0.0.1:")
    yield desk, run.url
    server.terminate()
    server.wait()


def tell(served: tuple[Desk, str], *command: str, ca: str | None = None, url: str | None = None, code: int = 0) -> str:
    """Runs a command against the server; what it printed."""
    desk, address = served
    environment = {**desk.environment(), "SWEEP_TOKEN": TOKEN, **({"SWEEP_CA": ca} if ca else {})}
    done = subprocess.run(
        [str(desk_sweep()), *command, "--server", url or address], cwd=desk.folder, env=environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, (done.stdout, done.stderr)
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout + done.stderr


def desk_sweep() -> Path:
    from desk import SWEEP

    return SWEEP


@pytest.mark.parametrize("ca", ["ca.pem", "cert.pem"])
def test_a_certificate_that_is_trusted(served: tuple[Desk, str], ca: str) -> None:
    """By its authority, or by itself."""
    assert tell(served, "workers", ca=ca) == "no worker has asked for a trial yet\n"


def test_one_that_is_not_trusted_is_one_clear_line(served: tuple[Desk, str]) -> None:
    _, url = served
    said = tell(served, "workers", code=1)
    assert re.fullmatch(
        rf"sweep: the study server {url} cannot be talked to: its certificate is not trusted here: [\w ]+; "
        r"SWEEP_CA names a PEM file to trust\n",
        said,
    ), said


def test_another_authority_is_not_enough(served: tuple[Desk, str], tmp_path: Path) -> None:
    authority(tmp_path)
    assert "its certificate is not trusted here" in tell(served, "workers", ca=str(tmp_path / "ca.pem"), code=1)


def test_a_certificate_for_another_name_is_not_enough(served: tuple[Desk, str]) -> None:
    _, url = served
    other = url.replace("127.0.0.1", "127.0.0.2")  # the same machine, another name
    said = tell(served, "workers", ca="ca.pem", url=other, code=1)
    assert "does not answer" in said or "not trusted here: IP address mismatch" in said


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no certificate or crl found"),
        ("no PEM", "no certificate or crl found"),
        (None, "no such file or directory"),
    ],
)
def test_a_file_of_trust_that_is_none(served: tuple[Desk, str], tmp_path: Path, content: str | None, why: str) -> None:
    path = tmp_path / "trust.pem"
    if content is not None:
        path.write_text(content)
    said = tell(served, "workers", ca=str(path), code=1)
    assert said == f"sweep: no certificates can be read from {path} that SWEEP_CA names: {why}\n"


def test_plain_http_to_a_port_with_tls(served: tuple[Desk, str]) -> None:
    _, url = served
    said = tell(served, "workers", url=url.replace("https", "http"), code=1)
    assert "does not answer" in said and said.endswith("; if it speaks TLS, write https:// instead of http://\n")
    assert said.count("\n") == 1


def test_tls_to_a_port_without(desk: Desk) -> None:
    server = desk.spawn("serve", "--port", "0")
    storage = f"sqlite:///{desk.folder / 'sweeps.db'}"
    desk.wait_for(lambda: runfile.read(storage) is not None)
    run = runfile.read(storage)
    assert run
    said = tell((desk, run.url.replace("http", "https")), "workers", code=1)
    assert said.endswith("what listens there speaks no TLS; write http:// instead of https://\n")
    assert server.poll() is None


def test_a_worker_does_not_ask_for_ever_where_it_trusts_nobody(served: tuple[Desk, str]) -> None:
    """Other silence it waits out; this one nobody can mend but its user."""
    _, url = served
    with Client(url, TOKEN) as client, pytest.raises(UserError, match="certificate is not trusted here"):
        client.lease(ASK)
    with Client(url.replace("https", "http"), TOKEN) as client, pytest.raises(Exception, match=r"disconnect|reset"):
        client.lease(ASK)


def test_the_token_does_not_travel_to_whom_we_do_not_trust(served: tuple[Desk, str], tmp_path: Path) -> None:
    """Somebody in between has a certificate of its own: what it hears is a greeting, and no request."""
    import socket
    import ssl
    import threading

    authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    with context.wrap_socket(connection, server_side=True) as talk:
                        heard.append(talk.recv(65536))
                except OSError:
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        tell(served, "workers", ca="ca.pem", url=url, code=1)
        thread.join(timeout=20)
    assert not b"".join(heard)


def test_commands_on_the_servers_own_machine_need_no_trust(served: tuple[Desk, str]) -> None:
    """The file beside the database says which certificate it has, whatever name that is made out to."""
    desk, _ = served
    assert desk.run("workers").stdout == "no worker has asked for a trial yet\n"


# what stands in the way of `sweep serve`


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--certificate", "cert.pem"], "--certificate and --key belong together: name both PEM files"),
        (["--key", "key.pem"], "--certificate and --key belong together: name both PEM files"),
        (
            ["--certificate", "none.pem", "--key", "key.pem"],
            "certificate none.pem, key key.pem: no such file or directory",
        ),
        (
            ["--certificate", "cert.pem", "--key", "none.pem"],
            "certificate cert.pem, key none.pem: no such file or directory",
        ),
        (["--certificate", "broken.pem", "--key", "key.pem"], "certificate broken.pem, key key.pem: .+"),
        (["--certificate", "key.pem", "--key", "key.pem"], "certificate key.pem, key key.pem: .+"),
        (["--certificate", "cert.pem", "--key", "other.pem"], "certificate cert.pem, key other.pem: .*mismatch.*"),
        (["--certificate", "cert.pem", "--key", "locked.pem"], "key locked.pem: it has a password; .+"),
        (["--certificate", ".", "--key", "key.pem"], "certificate ., key key.pem: .+"),
        (["--token-file", "nowhere"], "--token-file nowhere cannot be read: No such file or directory"),
        (["--token-file", "empty"], "--token-file empty is empty"),
        (["--token-file", "blank"], "--token-file blank is empty"),
        (["--token-file", "."], "--token-file . cannot be read: Is a directory"),
        (["--token-file", "bytes"], "--token-file bytes cannot be read: .+"),
        (["--token-file", "words"], "a token has letters, digits and signs of ASCII, and no spaces"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1:0: cannot assign requested address; --host and .+"),
        (["--host", "nowhere.invalid"], "cannot listen on nowhere.invalid:0: .+"),
        (["--host", "two..dots"], "cannot listen on two..dots:0: .+"),
        (["--host", "2001:db8::1"], r"cannot listen on \[2001:db8::1\]:0: .+"),
        (["--host", ""], "--host is empty; write 0.0.0.0 for every address of this machine"),
    ],
)
def test_what_stands_in_the_way_is_one_line(desk: Desk, options: list[str], line: str) -> None:
    authority(desk.folder)
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(desk.folder / "other.pem")
    (desk.folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    (desk.folder / "locked.pem").write_bytes(locked(desk.folder / "key.pem"))
    (desk.folder / "empty").write_text("")
    (desk.folder / "blank").write_text(" \n\n")
    (desk.folder / "bytes").write_bytes(b"\xff\xfe\x00")
    (desk.folder / "words").write_text("two words")
    done = desk.run("serve", "--port", "0", *options, timeout=60)
    said = [one for one in done.stderr.splitlines() if not one.startswith("sweep: no --certificate: whoever can read")]
    said = [one for one in said if not one.startswith("the token is in ")]
    assert (done.returncode, len(said)) == (1, 1), done.stderr
    assert re.fullmatch(f"sweep: {line}", said[0]), said[0]
    assert runfile.read(f"sqlite:///{desk.folder / 'sweeps.db'}") is None


def locked(key: Path) -> bytes:
    """The key under a password, which nobody is there to type."""
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"secret"),
    )


def test_a_port_that_is_taken(served: tuple[Desk, str], desk: Desk) -> None:
    _, url = served
    port = url.rpartition(":")[2]
    done = desk.run("serve", "--port", port, timeout=60)
    assert done.returncode == 1
    line = f"sweep: cannot listen on 127.0.0.1:{port}: address already in use; --host and --port name another"
    assert done.stderr.splitlines()[-1] == line


def test_a_network_without_tls_is_told(desk: Desk) -> None:
    server = desk.spawn("serve", "--port", "0", "--host", "0.0.0.0")
    desk.wait_for(lambda: "Ctrl-C ends it" in desk.err())
    assert desk.err().splitlines()[0] == (
        "sweep: no --certificate: whoever can read the network between workers and server can read the token"
    )
    server.terminate()
    assert server.wait(timeout=30) == 0
