"""Names that lead elsewhere, in every place of every route."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from security.house import House
from security.test_bodies import JSON, KEY, say, status
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
def guarded(shared: House) -> House:
    """The house with secrets wherever a name could lead."""
    for folder in (shared.folder, shared.work_dir, shared.work_dir / "mine", shared.folder.parent):
        for name in ("secret.txt", "secret.png", "secret"):
            (folder / name).write_text(SECRET)
    return shared


def ask(opened: House, method: str, path: str, body: Any) -> tuple[int, bytes]:
    """Sends a path as it is written; status and all of the answer."""
    content = json.dumps(body).encode() if body is not None else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{KEY}{JSON}"
    head += f"Content-Length: {len(content)}\r\n\r\n"
    answer = say(opened.url, head.encode() + content)
    return status(answer), answer


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
def test_a_name_in_a_path_leads_nowhere(guarded: House, evil: str) -> None:
    before = guarded.everything()
    known = {"study": "mine", "trial": "1", "half": "train", "name": "last.pth", "sha256": "ab" * 32}
    found = routes(guarded)
    assert len(found) > 12
    for method, path, body in found:
        for name in re.findall(r"{(\w+)}", path):
            written = path.format(**{**known, name: evil})
            code, answer = ask(guarded, method, written, body if method in BODY_METHODS else None)
            assert code in (400, 404, 405, 409, 416, 422), (method, written, answer[:300])
            assert SECRET.encode() not in answer and b"root:" not in answer
            assert b"\r\nX-Evil" not in answer
    assert guarded.everything() == before


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/studies/../../secret.txt", "//etc/passwd", "/static-offline-docs/../../secret.txt",
        "/static-offline-docs/%2e%2e/%2e%2e/core.py", "/static-offline-docs/..%2f..%2fcore.py", "/docs/../openapi.json",
        "/static-offline-docs//etc/passwd", "/static-offline-docs/%2fetc%2fpasswd", "/.env", "/studies/mine/../../stop",
        "http://evil.example/studies", "*", "/\\..\\secret.txt",
    ],
)  # fmt: skip
def test_a_path_leads_nowhere(guarded: House, path: str) -> None:
    code, answer = ask(guarded, "GET", path, None)
    assert code in (400, 404, 405), answer[:300]
    assert SECRET.encode() not in answer and b"root:" not in answer and b"def FastAPIOffline" not in answer


def test_the_secret_was_there_to_be_found(guarded: House) -> None:
    """Else the tests above would prove nothing."""
    assert Path(guarded.work_dir, "secret.txt").read_text() == SECRET
    code, answer = ask(guarded, "GET", "/studies/mine/trials/1/log", None)
    assert code == 200 and answer.endswith(b"a line of the log\n")
