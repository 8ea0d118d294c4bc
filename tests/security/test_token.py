"""Without the token nothing is read and nothing changes; and the token itself is shown nowhere."""

from __future__ import annotations

import ast
import base64
import inspect
from typing import Any

import click
import httpx
import pytest
from security.house import AUTHORIZED, TOKEN, House

import sweeps.server.guard
from runner.wire.client import Client
from sweeps.access.remote import Remote
from sweeps.cli import _COMMANDS, cli
from sweeps.server.guard import Guard

WRONG: dict[str, dict[str, str | bytes]] = {
    "none": {},
    "empty": {"Authorization": ""},
    "scheme alone": {"Authorization": "Bearer"},
    "another": {"Authorization": "Bearer wrong"},
    "no scheme": {"Authorization": TOKEN},
    "lower case": {"Authorization": f"bearer {TOKEN}"},
    "longer": {"Authorization": f"Bearer {TOKEN}x"},
    "shorter": {"Authorization": f"Bearer {TOKEN[:-1]}"},
    "upper case": {"Authorization": f"Bearer {TOKEN.upper()}"},
    "two spaces": {"Authorization": f"Bearer  {TOKEN}"},
    "twice": {"Authorization": f"Bearer {TOKEN} {TOKEN}"},
    "no letters": {"Authorization": "Bearer 토큰".encode()},
    "wrong password": {"Authorization": "Basic " + base64.b64encode(b"ann:wrong").decode()},
    "token as name": {"Authorization": "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode()},
    "no base64": {"Authorization": "Basic $$$"},
    "cookie": {"Cookie": f"token={TOKEN}; Authorization=Bearer {TOKEN}"},
    "other header": {"X-Token": TOKEN, "Proxy-Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "127.0.0.1"},
}
BODY_METHODS = ("POST", "PUT", "PATCH", "DELETE")


def requests(house: House) -> list[tuple[str, str, Any]]:
    """Every route of the API with what the holder of a lease would send, and what stands beside the API."""
    schema = house.ask("GET", "/openapi.json").json()
    lease = house.held
    known = {"study": lease.study, "trial": lease.trial, "half": "train", "name": "last.pth", "sha256": "ab" * 32}
    sent = {
        "/lease": {"worker": "w9", "owner": "Eve", "device": "cpu"},
        "heartbeat": {"fence": lease.fence},
        "report": {"fence": lease.fence, "report": {"epoch": 2, "metrics": {"segm_mAP": 1.0}}},
        "finish": {"fence": lease.fence, "result": {"outcome": "failed", "reason": "sabotage"}},
        "hand_back": {"fence": lease.fence, "reason": "sabotage"},
        "/studies": house.submission("theirs").model_dump(mode="json"),
    }
    found = []
    for path, methods in schema["paths"].items():
        for method in methods:
            if (method, path) != ("get", "/health"):
                body = sent.get(path) or sent.get(path.rpartition("/")[2])
                found.append((method.upper(), path.format(**known), body))
    beside = ["/", "/docs", "/openapi.json", "/redoc", "/static-offline-docs/swagger-ui-bundle.js", "/nowhere", "//"]
    return found + [("GET", path, None) for path in beside]


def test_every_wrong_way_to_show_a_token(shared: House) -> None:
    """On the routes of every method; one house for all, since nothing may change in it."""
    routes = requests(shared)
    assert len(routes) > 25 and {method for method, _, _ in routes} >= {"GET", "POST"}
    before, workers = shared.everything(), shared.team.registry.workers()
    for headers in WRONG.values():
        for method, path, body in routes:
            answer = shared.ask(method, path, headers, json=body)
            assert (answer.status_code, answer.json()) == (401, {"detail": "a valid token is needed"}), (path, headers)
            assert TOKEN not in str(answer.headers)
    assert shared.everything() == before
    assert [one["worker"] for one in shared.team.registry.workers()] == [one["worker"] for one in workers]
    assert not shared.team.registry.stopping


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PATCH", "DELETE", "CONNECT", "PROPFIND"])
def test_methods_that_no_route_has(shared: House, method: str) -> None:
    for path in ("/studies", "/studies/mine/pause", "/nowhere"):
        assert shared.ask(method, path, {}).status_code == 401


def test_a_password_only_reads(shared: House) -> None:
    """A browser sends the password along with whatever another site makes it send."""
    basic = {"Authorization": "Basic " + base64.b64encode(f"ann:{TOKEN}".encode()).decode()}
    assert shared.ask("GET", "/studies", basic).status_code == 200
    before = shared.everything()
    for method, path, body in requests(shared):
        if method in BODY_METHODS:
            assert shared.ask(method, path, basic, json=body).status_code == 401, path
    assert shared.everything() == before


def test_another_site_may_not_read_an_answer(shared: House) -> None:
    """No header lets a browser hand an answer to a page of another site."""
    answer = shared.ask("GET", "/studies", {**AUTHORIZED, "Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_with_the_token_all_of_it_works(mine: House) -> None:
    """Else the tests above would prove nothing."""
    for method, path, body in requests(mine):
        if path not in ("/", "/redoc", "/nowhere", "//"):
            answer = mine.ask(method, path, json=body)
            assert answer.status_code in (200, 400, 404, 409, 422), (path, answer.text)
            assert answer.status_code != 400 or "token" not in answer.text
    assert mine.team.registry.stopping


def test_tokens_are_compared_in_constant_time() -> None:
    """Read in the code: a measured time proves nothing on a machine that others use too."""
    tree = ast.parse(inspect.getsource(sweeps.server.guard))
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert "hmac.compare_digest" in calls
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            assert "_token" not in ast.unparse(node) and "given" not in ast.unparse(node), ast.unparse(node)


def test_no_server_without_a_token() -> None:
    async def app(*_: object) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="without a token"):
        Guard(app, "")


def test_no_command_takes_a_token_as_an_option() -> None:
    """It would stand in the list of processes and in the shell's history."""

    def options(command: click.Command) -> set[str]:
        if isinstance(command, click.Group):
            return {name for child in command.commands.values() for name in options(child)}
        return {name for parameter in command.params for name in parameter.opts}

    found = set()
    for name in _COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command
        found |= options(command)
    assert {name for name in found if "token" in name} == {"--token-file"}


def test_no_error_shows_the_token(shared: House, capfd: pytest.CaptureFixture[str]) -> None:
    texts = [
        shared.ask("POST", "/lease", json={"worker": 1}).text,
        shared.ask("GET", "/studies/none/status").text,
        shared.ask("POST", "/studies/mine/trials/0/heartbeat", json={"fence": 1}).text,
        shared.ask("GET", "/", {"Authorization": f"Bearer {TOKEN}x"}).text,
    ]
    with Remote(shared.url, TOKEN) as remote:
        for call in (lambda: remote.trials("none"), lambda: remote.order("studies/none/pause")):
            with pytest.raises(Exception) as caught:
                call()
            texts.append(repr(caught.value))
    with Client("http://127.0.0.1:9", TOKEN) as client, pytest.raises(httpx.TransportError) as refused:
        client.heartbeat(shared.held)
    texts += [repr(refused.value), repr(client), repr(client.http)]
    captured = capfd.readouterr()
    assert not [text for text in [*texts, captured.out, captured.err] if TOKEN in text]


def test_the_token_is_kept_nowhere(shared: House) -> None:
    assert TOKEN not in shared.everything()["database"]
    for path in shared.folder.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
