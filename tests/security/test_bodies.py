"""Requests that are too large, too slow, without end, or no requests at all."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from desk import Desk
from security.house import AUTHORIZED, TOKEN, House, ask, house

from sweeps.access import runfile
from sweeps.server.app import Server, create_app
from sweeps.server.deadline import PunctualProtocol
from sweeps.server.guard import MAX_BODY, Guard

KEY = f"Authorization: Bearer {TOKEN}\r\n"
JSON = "Content-Type: application/json\r\n"
HEARTBEAT = "/studies/mine/trials/1/heartbeat"


class Hasty(PunctualProtocol):
    """As the server's own, in a hurry."""

    header_seconds = 1.0
    rest_seconds = 2.0


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose server waits a second for headers and for bodies."""
    with house(tmp_path_factory.mktemp("house")) as opened:
        app = create_app(opened.team.registry, TOKEN, opened.team, opened.team.artifacts)
        with Server(Guard(app, TOKEN, body_seconds=1.0), protocol=Hasty) as server:
            opened.url = server.url
            yield opened


@contextlib.contextmanager
def line(url: str) -> Iterator[socket.socket]:
    host, _, port = url.rpartition("/")[2].partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            found += piece
    return found


def say(url: str, *pieces: str | bytes) -> bytes:
    """Says something on a connection of its own; the answer, whole. The server must close it, or be asked to."""
    with line(url) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece if isinstance(piece, bytes) else piece.encode())
        return rest(connection)


def post(path: str, more: str, key: str = KEY) -> str:
    return f"POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{key}{JSON}{more}\r\n\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def alive(opened: House) -> bool:
    return opened.ask("GET", "/studies/mine/status").json()["workers"] != []


# too large


@pytest.mark.parametrize("size", [10, 1000, 60_000])
def test_a_refusal_arrives_although_a_body_follows(shared: House, size: int) -> None:
    """A connection that is closed before all is read may be reset, and the answer lost: a wrong token would look like
    a server that is away.
    """
    head = post(HEARTBEAT, f"Content-Length: {size}", key="Authorization: Bearer wrong\r\n").encode()
    for _ in range(20):
        with line(shared.url) as connection:
            connection.sendall(head)
            time.sleep(0.01)
            connection.sendall(b" " * size)
            assert status(rest(connection)) == 401


@pytest.mark.parametrize("length", [MAX_BODY + 1, 10 * 2**30, 10**19])
def test_a_body_that_announces_itself_too_large_is_not_read(shared: House, length: int) -> None:
    """Nothing of it is sent here, so an answer can come only from a server that does not wait for it."""
    answer = say(shared.url, post(HEARTBEAT, f"Content-Length: {length}"))
    assert status(answer) == 413
    assert b"9,437,184 bytes" in answer and b"connection: close" in answer.lower()


def test_a_body_without_a_length_is_cut_off(shared: House) -> None:
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with line(shared.url) as connection:
        connection.sendall(post(HEARTBEAT, "Transfer-Encoding: chunked").encode())
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(2000):  # 125 MiB
                connection.sendall(piece)
                sent += 0x10000
        answer = rest(connection)
    assert not answer or status(answer) == 413  # the answer may be lost when a connection is cut while sending
    assert sent < 60 * 2**20, "the kernel's buffers and ours, not all of it"
    assert alive(shared)


def test_the_largest_body_that_is_allowed_is_read(shared: House) -> None:
    body = b'{"fence": %d}' % shared.held.fence
    body += b" " * (MAX_BODY - len(body))
    assert shared.ask("POST", HEARTBEAT, {**AUTHORIZED, "Content-Type": "application/json"}, content=body).is_success
    chunked = (body[n : n + 2**20] for n in range(0, len(body), 2**20))
    assert shared.ask("POST", HEARTBEAT, {**AUTHORIZED, "Content-Type": "application/json"}, content=chunked).is_success


def test_without_the_token_a_body_is_not_awaited(shared: House) -> None:
    """No longer than it takes to see the end of a short one."""
    assert status(say(shared.url, post(HEARTBEAT, "Content-Length: 1000", key=""))) == 401
    assert status(say(shared.url, post(HEARTBEAT, "Transfer-Encoding: chunked", key=""))) == 401


def test_memory_does_not_grow_with_bodies(desk: Desk) -> None:
    """The server as a process of its own, 480 MiB sent without the token, then with it."""
    storage = f"sqlite:///{desk.folder / 'sweeps.db'}"
    server = desk.spawn("serve", "--port", "0")
    desk.wait_for(lambda: runfile.read(storage) is not None)
    run = runfile.read(storage)
    assert run
    key = f"Authorization: Bearer {run.token}\r\n"
    piece = b"100000\r\n" + b" " * 2**20 + b"\r\n"

    def flood(key: str, times: int) -> None:
        for _ in range(times):
            say(run.url, post("/lease", "Transfer-Encoding: chunked", key), *[piece] * 12)

    def grown(key: str, at_first: int) -> float:
        """MiB, once the allocator has what it keeps for bodies."""
        flood(key, at_first)
        before = psutil.Process(server.pid).memory_info().rss
        flood(key, 40)
        return (psutil.Process(server.pid).memory_info().rss - before) / 2**20

    assert grown("", 2) < 10, "nothing of a body is kept where the token is missing"
    assert grown(key, 20) < 100


# too slow


def test_a_slow_body_is_refused(hasty: House) -> None:
    before = hasty.everything()
    with line(hasty.url) as connection:
        connection.sendall(post(HEARTBEAT, "Content-Length: 100").encode())
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(40):
                connection.sendall(b" ")
                time.sleep(0.1)
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    if connection.recv(1, socket.MSG_PEEK):
                        break
                connection.settimeout(20)
        connection.settimeout(20)
        answer = rest(connection)
    assert status(answer) == 408 and b"took too long" in answer
    assert hasty.everything() == before


@pytest.mark.parametrize("begin", ["", "G", "POST /lease HTTP/1.1\r\n", f"GET / HTTP/1.1\r\nHost: here\r\n{KEY}X: "])
def test_headers_that_do_not_end_are_refused(hasty: House, begin: str) -> None:
    """A byte now and then does not help."""
    with line(hasty.url) as connection:
        connection.sendall(begin.encode())
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(25):
                time.sleep(0.1)
                if begin:
                    connection.sendall(b"a")
        answer = rest(connection)
    assert not answer or status(answer) == 408


def test_a_body_that_nobody_reads_does_not_keep_a_connection(hasty: House) -> None:
    """A route that takes no body has answered; what still comes is dropped, for a while."""
    with line(hasty.url) as connection:
        connection.sendall(f"GET /health HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n{KEY}\r\n".encode())
        cut = False
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(80):
                connection.sendall(b" ")
                time.sleep(0.1)
            cut = False
        answer = b""
        with contextlib.suppress(TimeoutError):
            connection.settimeout(5)
            answer = rest(connection)
            cut = True
    assert cut, "the connection stays open"
    assert not answer or status(answer) == 200


def test_very_many_idle_connections(hasty: House) -> None:
    """A worker is served beside them, and they are closed."""
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(line(hasty.url)) for _ in range(300)]
        for connection in idle[::2]:
            connection.sendall(b"GET / HTTP/1.1\r\n")
        with hasty.client() as client:
            client.heartbeat(hasty.held)
        for connection in idle:
            assert not (answer := rest(connection)) or status(answer) == 408


def test_a_connection_serves_many_requests_in_its_time(hasty: House) -> None:
    """The deadline is a request's, not the connection's."""
    with line(hasty.url) as connection:
        for _ in range(8):
            connection.sendall(f"GET /health HTTP/1.1\r\nHost: here\r\n{KEY}\r\n".encode())
            answer = b""
            while b'{"status":"ok"}' not in answer:  # it may come in pieces
                piece = connection.recv(65536)
                assert piece, answer
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.3)


# no requests


@pytest.mark.parametrize(
    "head",
    [
        "GET /health HTTP/1.1\r\nHost: here\r\nX: " + "a" * 2_000_000,
        "GET /health HTTP/1.1\r\nHost: here\r\n" + "X: a\r\n" * 200_000,
        "GET /" + "a" * 1_000_000,
        "GET /health?" + "a=b&" * 100_000 + " HTTP/1.1\r\n",
        "a" * 1_000_000,
    ],
)
def test_endless_headers(shared: House, head: str) -> None:
    answer = say(shared.url, head)
    assert not answer or status(answer) == 400
    assert alive(shared)


@pytest.mark.parametrize(
    "request_",
    [
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS, spoken to a server without
        "SSH-2.0-OpenSSH_9.6\r\n",
        "GET /health\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost : a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        post(HEARTBEAT, "Content-Length: 5\r\nContent-Length: 6") + "12345",
        post(HEARTBEAT, "Content-Length: -5"),
        post(HEARTBEAT, "Content-Length: +5") + "12345",
        post(HEARTBEAT, "Content-Length: \uff15") + "12345",
        post(HEARTBEAT, "Transfer-Encoding: chunked") + "-5\r\n",
        post(HEARTBEAT, "Transfer-Encoding: chunked") + "fffffffffffffffffffff\r\n",
        post(HEARTBEAT, "Transfer-Encoding: chunked") + "5; " + "x" * 100_000 + "\r\n12345\r\nno chunk",
        post(HEARTBEAT, "Transfer-Encoding: gzip"),
    ],
)
def test_what_is_no_request(shared: House, request_: str) -> None:
    answer = say(shared.url, request_ + "\r\n\r\n")
    assert not answer or status(answer) in (400, 401, 413, 501), answer
    assert alive(shared)


def test_a_request_hidden_in_another_is_not_served(shared: House) -> None:
    """With both lengths given, the chunks count and the connection ends: nothing that follows is a request."""
    inner = f"POST /stop HTTP/1.1\r\nHost: here\r\n{KEY}\r\n"
    say(shared.url, post(HEARTBEAT, "Content-Length: 4\r\nTransfer-Encoding: chunked"), f"0\r\n\r\n{inner}")
    assert not shared.team.registry.stopping


# JSON that is none, or too much


REPORT = '{"fence": 1, "report": {"epoch": 2, "metrics": {"segm_mAP": %s}, "seconds": %s}}'


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "[]", "null", "0", '"text"', "\x00", b"\xff\xfe{}", b'{"fence": 1, "reason": "\xed\xa0\x80"}', "{} {}",
        "[" * 200_000, '{"a":' * 200_000, '{"fence": ' + "[" * 500 + "]" * 500 + "}",
        '{"fence": %s}' % ("9" * 100_000), '{"fence": %s}' % ("9" * 30), '{"fence": -1}', '{"fence": 1e400}',
        '{"fence": 1.5}', '{"fence": NaN}', '{"fence": Infinity}', '{"fence": true}', '{"fence": "\\ud800"}',
        '{"fence": 1, "\\ud800": 1}', '{"fence": 1, "\\u0000": 1}', '{"fence": 1, "fence ": 1}',
        REPORT % (0.5, "NaN"), REPORT % (0.5, "Infinity"), REPORT % (0.5, "-1"), REPORT % (0.5, "1e400"),
        REPORT % ("[1]", 1), REPORT % ('"good"', 1),
        '{"fence": 1, "report": {"epoch": %s, "metrics": {}}}' % ("9" * 20),
        json.dumps({"fence": 1, "report": {"epoch": 2, "metrics": {f"m{n}": 1 for n in range(2000)}}}),
        '{"fence": 1, "report": {"epoch": 2, "metrics": {"%s": 1}}}' % ("m" * 5000),
    ],
)  # fmt: skip
def test_what_is_no_message(shared: House, body: str | bytes) -> None:
    before = shared.everything()
    headers = {**AUTHORIZED, "Content-Type": "application/json"}
    content = body if isinstance(body, bytes) else body.encode()
    answer = shared.ask("POST", "/studies/mine/trials/1/report", headers, content=content)
    assert answer.status_code in (400, 422), answer.text
    detail = answer.json()["detail"]
    assert len(detail) < 1000 and detail.isprintable()
    assert shared.everything() == before


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "-Infinity", "1e400", "null"])
def test_a_figure_that_is_no_number_is_none(mine: House, figure: str) -> None:
    """COCO gives none for what it cannot measure; the trial goes on."""
    headers = {**AUTHORIZED, "Content-Type": "application/json"}
    content = (REPORT % (figure, 1.0)).replace('"fence": 1', f'"fence": {mine.held.fence}')
    assert mine.ask("POST", "/studies/mine/trials/1/report", headers, content=content).status_code == 200
    epochs = mine.ask("GET", "/studies/mine/trials/1/epochs").json()
    assert [(one["epoch"], one["score"]) for one in epochs] == [(1, 0.5), (2, None)]


def test_a_compressed_body_is_not_unpacked(shared: House) -> None:
    """A kilobyte could become a gigabyte."""
    import gzip

    headers = {**AUTHORIZED, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    packed = gzip.compress(b'{"fence": %d}' % shared.held.fence)
    assert shared.ask("POST", HEARTBEAT, headers, content=packed).status_code in (400, 422)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_read_as_json(shared: House, kind: str) -> None:
    """A page of another site can make a browser send forms and plain text, without asking first."""
    headers: dict[str, Any] = {**AUTHORIZED, **({"Content-Type": kind} if kind else {})}
    body = b'{"fence": %d}' % shared.held.fence
    assert shared.ask("POST", HEARTBEAT, headers, content=body).status_code in (400, 422)


# names on other people's terminals


def test_names_of_workers_hold_nothing_that_a_terminal_obeys(mine: House, tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\r\n\u202e\u2028\x9b31m"
    body = {"worker": f"w{evil}", "owner": evil, "device": evil, "host": evil, "unable": {"none": evil}}
    assert mine.ask("POST", "/lease", json=body).status_code == 200
    mine.ask("POST", "/studies/mine/trials/1/hand_back", json={"fence": mine.held.fence, "reason": evil})
    shown = [mine.ask("GET", path).json() for path in ("/workers", "/studies/mine/trials/1/attempts")]
    texts = [text for one in (*shown[0], *shown[1]) for text in one.values() if isinstance(text, str)]
    assert texts and all(text.isprintable() for text in texts)
    with mine.client() as client:
        assert ask(client, mine.team, "w7").trial == 1
