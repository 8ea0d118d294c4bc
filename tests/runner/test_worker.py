"""Slots of a machine, and the client's patience."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from trials import combination, lease

from runner.errors import UserError
from runner.machine import Machine, Slot, slots
from runner.protocol import EpochReport, Lease, LeaseRequest, Result
from runner.wire.client import Client, LeaseLostError, ServerTroubleError

REPORT = EpochReport(epoch=1, metrics={"segm_mAP": 0.25, "segm_mAP_l": None}, seconds=1.5)
REQUEST = LeaseRequest(worker="cpu-0", owner="kim", device="cpu")
CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize("workers", [None, 1])
def test_one_cpu_slot_gets_every_core(workers: int | None) -> None:
    assert slots(workers, []) == [Slot("cpu-0", None, Machine(CORES, 0))]


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_cpu_slots_share_the_cores(workers: int) -> None:
    found = slots(workers, [])
    assert [slot.name for slot in found] == [f"cpu-{i}" for i in range(workers)]
    assert {slot.machine for slot in found} == {Machine(max(1, CORES // workers), 0)}


def on_cores(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))


@pytest.mark.parametrize(
    ("cores", "workers", "gpus", "machine"),
    [
        (16, None, 1, Machine(16, 4)),
        (16, None, 4, Machine(4, 3)),
        (4, None, 4, Machine(1, 1)),
        (8, 4, 2, Machine(2, 1)),
    ],
)
def test_gpu_slots_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int | None, gpus: int, machine: Machine
) -> None:
    on_cores(cores, monkeypatch)
    found = slots(workers, [str(i) for i in range(gpus)])
    assert len(found) == (workers or gpus) == len({slot.name for slot in found})
    assert [slot.gpu for slot in found] == [str(i % gpus) for i in range(len(found))]
    assert {slot.machine for slot in found} == {machine}


Answer = Callable[[str, bytes], tuple[int, object]]


class Server:
    """A real HTTP server that starts when it is told to, and keeps what it was sent."""

    def __init__(self, answer: Answer) -> None:
        self.seen: list[tuple[str, dict[str, object], str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.seen.append((self.path, json.loads(body), self.headers["Authorization"]))
                status, document = answer(self.path, body)
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                return

        # bound, so that the port is ours, but not listening: a connection is refused
        self.http = HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.http.server_bind()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})

    def start(self) -> None:
        self.http.server_activate()
        self.thread.start()

    def close(self) -> None:
        if self.thread.is_alive():
            self.http.shutdown()
            self.thread.join()
        self.http.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    servers: list[Server] = []

    def make(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def held(tmp_path: Path) -> Lease:
    """A lease under the number 1, with a short time, so that nobody waits long."""
    return lease(tmp_path, combination(), number=4, lease_seconds=6.0, heartbeat_seconds=0.5)


def test_a_report_waits_for_a_server_that_comes_up_late(serve: Callable[[Answer], Server], held: Lease) -> None:
    server = serve(lambda *_: (200, {"action": "prune"}))
    late = threading.Timer(1.0, server.start)
    late.start()
    began = time.monotonic()
    with Client(server.url, "secret") as client:
        assert client.report(held, REPORT).action == "prune"
    late.join()
    assert time.monotonic() - began > 0.9
    path, body, token = server.seen[0]
    assert (path, token) == ("/studies/study/trials/4/report", "Bearer secret")
    assert (body["fence"], body["report"]) == (1, json.loads(REPORT.model_dump_json()))


def test_a_report_is_given_up_when_patience_ends(serve: Callable[[Answer], Server], held: Lease) -> None:
    server = serve(lambda *_: (200, {}))
    with Client(server.url, "secret") as client, pytest.raises(httpx.ConnectError):
        client.report(held, REPORT, patience=2.5)


def test_leases_and_heartbeats_are_asked_for_once(serve: Callable[[Answer], Server], held: Lease) -> None:
    server = serve(lambda *_: (200, {}))
    began = time.monotonic()
    with Client(server.url, "secret") as client:
        with pytest.raises(httpx.ConnectError):
            client.lease(REQUEST)
        with pytest.raises(httpx.ConnectError):
            client.heartbeat(held)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (409, "trial 4 was given to somebody else"),
        (404, "no study study on this server; there is none yet"),
    ],
)
def test_a_trial_that_is_no_longer_ours_is_a_lost_lease(
    serve: Callable[[Answer], Server], held: Lease, code: int, line: str
) -> None:
    server = serve(lambda *_: (code, {"detail": line}))
    server.start()
    calls: list[Callable[[Client], object]] = [
        lambda c: c.heartbeat(held),
        lambda c: c.report(held, REPORT),
        lambda c: c.finish(held, Result(outcome="complete")),
        lambda c: c.hand_back(held, "the worker was stopped", "stopped"),
    ]
    with Client(server.url, "secret") as client:
        for call in calls:
            with pytest.raises(LeaseLostError, match=f"^{line}$"):
                call(client)
    assert len(server.seen) == len(calls), "a lost lease is not asked for again"


def test_without_a_study_there_is_nothing_to_lease(serve: Callable[[Answer], Server]) -> None:
    server = serve(lambda *_: (404, {"detail": "no study study on this server; there is none yet"}))
    server.start()
    answer = r"^the study server answers 404 to /lease: no study"
    with Client(server.url, "secret") as client, pytest.raises(UserError, match=answer):
        client.lease(REQUEST)
    assert len(server.seen) == 1


def test_trouble_of_the_server_is_waited_out(serve: Callable[[Answer], Server], held: Lease) -> None:
    codes = iter([500, 408, 429, 504, 200])
    server = serve(lambda *_: (next(codes), {"action": "prune"}))
    server.start()
    with Client(server.url, "secret") as client:
        assert client.report(held, REPORT, patience=60).action == "prune"
    assert len(server.seen) == 5


def test_trouble_of_the_server_is_asked_about_once_or_until_patience_ends(
    serve: Callable[[Answer], Server], held: Lease
) -> None:
    server = serve(lambda *_: (500, {"detail": "Internal Server Error"}))
    server.start()
    with Client(server.url, "secret") as client:
        for call in (lambda: client.heartbeat(held), lambda: client.lease(REQUEST)):
            with pytest.raises(ServerTroubleError, match=r"^the study server answers 500: Internal Server Error$"):
                call()
        assert len(server.seen) == 2
        with pytest.raises(ServerTroubleError):
            client.report(held, REPORT, patience=1)


def test_other_answers_are_one_line_for_the_user(serve: Callable[[Answer], Server], held: Lease) -> None:
    codes = iter([401, 403, 422])
    server = serve(lambda *_: (next(codes), {"detail": "no"}))
    server.start()
    with Client(server.url, "secret") as client:
        with pytest.raises(UserError) as caught:
            client.lease(REQUEST)
        assert str(caught.value) == "the study server refuses this token (SWEEP_TOKEN)"
        for code in (403, 422):
            with pytest.raises(UserError) as caught:
                client.report(held, REPORT)
            assert str(caught.value) == f"the study server answers {code} to /studies/study/trials/4/report: no"
