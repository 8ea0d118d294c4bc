"""Names that lead elsewhere, in every place of every route."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from security.house import TOKEN, House
from security.test_token import BODY_METHODS, requests

SECRET = "the secret of this machine"
EVIL = [
    "..", ".", "%2e%2e", "%2e%2e%2f%2e%2e%2fsecret.txt", "..%2f..%2f..%2fsecret.txt", "%2fsecret.txt",
    "..%5c..%5csecret.txt", "....//....//secret.txt", "%252e%252e%252fsecret.txt", "..%c0%af..%c0%afsecret.txt",
    "%e2%80%a5", "mine%2f1", "mine%00", "%00", "last.pth%00.png", "%ed%a0%80", "%ff", "%f0%9f%98%80", "%ea%b9%80",
    "~", "~root", "$HOME", "${IFS}", "CON", "file:%2f%2f%2fetc%2fpasswd", "*", "?", "%", "%zz", "-1", "1e0", "0x1", "٣",
    "9" * 40, "a" * 5000, "mine;x=1", "mine%3Fx", "mine%23x", "%0d%0aX-Evil:%201", "%1b[31m", "last.pth.", ".last.pth",
    "LAST.PTH", "last.pth%20", "train.log%2f..%2flast.pth", "%2e%2e%2fsecret.png", "..png", ".png",
]  # fmt: skip


@pytest.fixture(scope="module")
def raw(shared: House) -> Iterator[http.client.HTTPConnection]:
    """A client that sends a path as it is written."""
    for folder in (shared.folder, shared.work_dir, shared.work_dir / "mine", shared.folder.parent):
        for name in ("secret.txt", "secret.png", "secret"):
            (folder / name).write_text(SECRET)
    yield http.client.HTTPConnection(shared.url.removeprefix("http://"), timeout=30)


def ask(raw: http.client.HTTPConnection, method: str, path: str, body: Any) -> tuple[int, bytes, str]:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    raw.putrequest(method, path.encode().decode("latin-1"), skip_host=False, skip_accept_encoding=True)
    content = json.dumps(body).encode() if body is not None else b""
    for name, value in {**headers, "Content-Length": str(len(content))}.items():
        raw.putheader(name, value)
    raw.endheaders(content)
    answer = raw.getresponse()
    return answer.status, answer.read(), str(answer.headers)


def routes(shared: House) -> list[tuple[str, str, Any]]:
    """Routes with something in their path, as templates."""
    schema = shared.ask("GET", "/openapi.json").json()
    bodies = {(method, path): body for method, path, body in requests(shared)}
    lease = shared.held
    known = {"study": lease.study, "trial": lease.trial, "half": "train", "name": "last.pth", "sha256": "ab" * 32}
    return [
        (method.upper(), path, bodies[method.upper(), path.format(**known)])
        for path, methods in schema["paths"].items()
        for method in methods
        if "{" in path and method != "parameters"
    ]


@pytest.mark.parametrize("evil", EVIL)
def test_a_name_in_a_path_leads_nowhere(
    shared: House, raw: http.client.HTTPConnection, monkeypatch: pytest.MonkeyPatch, evil: str
) -> None:
    monkeypatch.setattr(http.client, "_is_legal_header_name", lambda _: True)
    before = shared.everything()
    known = {"study": "mine", "trial": "1", "half": "train", "name": "last.pth", "sha256": "ab" * 32}
    found = routes(shared)
    assert len(found) > 12
    for method, path, body in found:
        for name in re.findall(r"{(\w+)}", path):
            written = path.format(**{**known, name: evil})
            try:
                status, content, headers = ask(raw, method, written, body if method in BODY_METHODS else None)
            except (http.client.InvalidURL, UnicodeEncodeError):  # such a path cannot even be sent
                continue
            assert status in (400, 404, 405, 409, 416, 422), (method, written, status, content[:200])
            assert SECRET.encode() not in content and b"root:" not in content
            assert "X-Evil" not in headers
    assert shared.everything() == before


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/studies/../../secret.txt", "//etc/passwd", "/static-offline-docs/../../secret.txt",
        "/static-offline-docs/%2e%2e/%2e%2e/core.py", "/static-offline-docs/..%2f..%2fcore.py", "/docs/../openapi.json",
        "/static-offline-docs//etc/passwd", "/static-offline-docs/%2fetc%2fpasswd", "/.env", "/studies/mine/../../stop",
        "http://evil.example/studies", "*", "/\\..\\secret.txt",
    ],
)  # fmt: skip
def test_a_path_leads_nowhere(shared: House, raw: http.client.HTTPConnection, path: str) -> None:
    status, content, _ = ask(raw, "GET", path, None)
    assert status in (400, 404, 405), content[:200]
    assert SECRET.encode() not in content and b"root:" not in content and b"def FastAPIOffline" not in content


def test_the_secret_was_there_to_be_found(shared: House, raw: http.client.HTTPConnection) -> None:
    """Else the tests above would prove nothing."""
    assert Path(shared.work_dir, "secret.txt").read_text() == SECRET
    status, content, _ = ask(raw, "GET", "/studies/mine/trials/1/log", None)
    assert (status, content) == (200, b"a line of the log\n")
