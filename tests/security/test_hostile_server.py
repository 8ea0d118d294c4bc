"""A study server that means harm: what a worker and a person's terminal let it do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from mmengine.registry import PARAM_SCHEDULERS
from pydantic import ValidationError
from security.house import TOKEN, House

from results.errors import NotFoundError
from runner.errors import UserError
from runner.protocol import Combination, Lease, LeaseReply, LeaseRequest, Needs
from runner.wire.artifacts import Transfer
from runner.wire.client import Client
from runner.worker.readiness import Place, Readiness
from runner.worker.trust import distrusted
from sweeps.access.remote import Remote

ASK = LeaseRequest(worker="w", owner="Ann", device="cpu")


def changed(lease: Lease, path: str, value: Any) -> Combination:
    """The lease's combination with something at a dotted path."""
    plain = lease.combination.model_dump()
    *parents, last = path.split(".")
    node: Any = plain
    for key in parents:
        node = node[int(key) if isinstance(node, (list, tuple)) else key]
    node[last] = value
    return Combination.model_validate(plain)


EVIL: list[tuple[str, Any]] = [
    ("schedule", {"name": "os.system", "params": {"command": "touch x"}}),
    ("optimizer.name", "subprocess.Popen"),
    ("model.name", "../../../tmp/evil"),
    ("backbone.name", "mmengine.fileio.load"),
    ("augmentation", [{"name": "os.system", "params": {"command": "touch x"}}]),
    ("optimizer.params.type", "os.system"),
    ("optimizer.params.lr", {"type": "os.system", "command": "touch x"}),
    ("optimizer.params.lr", "0.1; import os"),
    ("schedule.params.type", "os.system"),
    ("schedule.params.warmup", [1]),
    ("backbone.params.init_cfg", {"type": "os.system"}),
    ("settings.type", "os.system"),
    ("settings.amp", {"type": "os.system"}),
    ("settings.epochs", "1"),
    ("settings.image_size", [64, {"type": "os.system"}]),
    ("settings.adapt", "os.system"),
    ("settings.train_share", 0),
    ("settings.train_share", 2),
    ("config", {"custom_imports": {"imports": ["evil"]}}),
    ("config", {"custom_imports.imports": ["evil"]}),
    ("config", {"custom_imports.imports.0": "evil"}),
    ("config", {"custom_hooks": [{"type": "os.system", "command": "touch x"}]}),
    ("config", {"+custom_hooks.9": {"type": "ProfilerHook", "json_trace_path": "/tmp/x"}}),
    ("config", {"model.type": "os.system"}),
    ("config", {"+model.neck.type": "os.system"}),
    ("config", {"optim_wrapper.constructor": "os.system"}),
    ("config", {"optim_wrapper.optimizer": {"type": "os.system", "command": "touch x"}}),
    ("config", {"param_scheduler.0.type": "os.system"}),
    ("config", {"+val_evaluator.outfile_prefix": "/home/somebody/.bashrc"}),
    ("config", {"+val_evaluator.outfile_prefix": "x"}),
    ("config", {"+val_evaluator": [{"type": "DumpResults", "out_file_path": "/tmp/x.pkl"}]}),
    ("config", {"+visualizer.save_dir": "/tmp"}),
    ("config", {"visualizer.vis_backends.0.type": "os.system"}),
    ("config", {"work_dir": "/tmp"}),
    ("config", {"load_from": "http://evil.example/x.pkl"}),
    ("config", {"train_dataloader.dataset.ann_file": "http://evil.example/x.pkl"}),
    ("config", {"train_dataloader.dataset.type": "BaseDetDataset"}),
    ("config", {"default_scope": "evil"}),
    ("config", {"launcher": "pytorch"}),
    ("config", {"model.backbone.init_cfg": {"type": "Pretrained", "checkpoint": "x"}}),
    ("config", {"model.backbone.style": "os.system"}),
    ("config", {"model.backbone.style": "../../x"}),
    ("config", {"model.backbone.style": "x\n"}),
    ("config", {"+model.x": ["os.system"]}),
    ("config", {"+model.x": [[{"a": 1}]]}),
]


@pytest.mark.parametrize(("path", "value"), EVIL)
def test_a_worker_trains_nothing_that_names_code_or_files(shared: House, path: str, value: Any) -> None:
    combination = changed(shared.held, path, value)
    assert distrusted(combination)
    lease = shared.held.model_copy(update={"combination": combination})
    with shared.client() as client:
        careful = Readiness(client, Place(work_dir=shared.folder / "worker"))
        careful.look(shared.team.registry.study("mine").needs)
        assert careful.here(shared.held).combination == shared.held.combination
        with pytest.raises(UserError, match=r"; a worker started with --allow-plugins would train it$") as caught:
            careful.here(lease)
        assert len(str(caught.value).splitlines()) == 1 and list(careful.unable) == ["mine"] and not careful.ready
        willing = Readiness(client, Place(work_dir=shared.folder / "worker", plugins=True))
        willing.look(shared.team.registry.study("mine").needs)
        assert willing.here(lease).combination == combination


@pytest.mark.parametrize(
    "config",
    [
        {"model.rpn_head.loss_bbox.loss_weight": 2.0, "train_dataloader.num_workers": 0},
        {"model.backbone.frozen_stages": -1, "model.backbone.norm_eval": False, "load_from": None},
        {"model.rpn_head.anchor_generator.ratios": [0.5, 1.0, [2, 3]], "model.backbone.style": "caffe"},
        {"+optim_wrapper.clip_grad.norm_type": 2, "optim_wrapper.loss_scale": "dynamic"},
    ],
)
def test_figures_and_modes_of_a_config_are_trusted(shared: House, config: dict[str, Any]) -> None:
    assert distrusted(changed(shared.held, "config", config)) is None


def test_a_name_with_dots_in_a_config_is_a_command() -> None:
    """What all this is about: MMEngine imports whatever `type` names. Else the tests above would prove nothing."""
    assert PARAM_SCHEDULERS.get("os.system") is os.system


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("lease", "study", "../other"), ("lease", "study", "/tmp"), ("lease", "study", ".."), ("lease", "study", "a/b"),
        ("lease", "study", "a\0"), ("lease", "study", "a" * 100), ("lease", "trial", -1), ("lease", "trial", "../1"),
        ("lease", "fence", 10**30), ("lease", "scale", "huge"), ("lease", "more", 1), ("lease", "work_dir", 5),
        ("needs", "study", "../other"), ("needs", "plugins", [{"path": "x.py", "sha256": "../../x"}]),
        ("needs", "plugins", [{"path": "x.py", "sha256": ""}]), ("needs", "more", 1),
        ("needs", "data", {"labels": ["../../x", "../../y"]}), ("needs", "data", {"check": "../../x"}),
    ],
)  # fmt: skip
def test_messages_that_lead_elsewhere_are_not_understood(shared: House, kind: str, path: str, value: Any) -> None:
    needs = shared.team.registry.study("mine").needs
    plain = (shared.held if kind == "lease" else needs).model_dump(mode="json")
    plain[path] = {**plain[path], **value} if isinstance(value, dict) else value
    with pytest.raises(ValidationError):
        (Lease if kind == "lease" else Needs).model_validate(plain)


def test_a_plugin_is_kept_under_its_own_folder_or_not_at_all(shared: House, tmp_path: Path) -> None:
    needs = shared.team.registry.study("mine").needs.model_dump()
    for name in ("..", "/", "/tmp/..", "x", ".py", "/tmp/x.sh", "a b.py", "/etc/cron.d/x"):
        evil = Needs.model_validate({**needs, "plugins": [{"path": name, "sha256": "ab" * 32}]})
        with shared.client() as client:
            readiness = Readiness(client, Place(work_dir=tmp_path / "work", plugins=True))
            readiness.look(evil)
        assert "is no name of a plugin" in readiness.unable["mine"]
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".py", ".sh")]


def test_a_study_that_was_not_looked_at_is_not_trained(shared: House, tmp_path: Path) -> None:
    """Its paths would be those that the server says, unseen."""
    with shared.client() as client, pytest.raises(UserError, match="without asking for its data"):
        Readiness(client, Place(work_dir=tmp_path)).here(shared.held)


class Script:
    """What a hostile server says, and what it heard."""

    def __init__(self) -> None:
        self.replies: dict[str, list[bytes]] = {}
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.headers: dict[str, str] = {}


@pytest.fixture
def hostile() -> Iterator[tuple[str, Script]]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.heard.append((self.path, json.loads(body or b"{}")))
            self._say()

        def do_GET(self) -> None:
            script.heard.append((self.path, {}))
            self._say()

        def _say(self) -> None:
            waiting = script.replies.get(self.path.partition("?")[0], [b"{}"])
            content = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            self.send_response(script.status)
            for key, value in {"Content-Length": str(len(content)), **script.headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", script
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"null", b'{"lease": {}}', b"\xff\xfe", b'{"wait": "\x1b[31m"}'])
def test_an_answer_that_is_none_is_one_line(hostile: tuple[str, Script], answer: bytes) -> None:
    url, script = hostile
    script.replies["/lease"] = [answer]
    with Client(url, TOKEN) as client, pytest.raises(UserError) as caught:
        client.lease(ASK)
    assert str(caught.value).isprintable() and "not understood" in str(caught.value)


def test_a_worker_gives_back_what_it_does_not_trust(hostile: tuple[str, Script], shared: House, desk: Desk) -> None:
    """The worker as a process: it looks at the data, gets the trial, runs nothing, and says why."""
    url, script = hostile
    marker, work_dir = desk.folder / "ran", desk.folder / "work"
    config = {"+custom_hooks.9": {"type": "os.system", "command": f"touch {marker}"}}
    needs = shared.team.registry.study("mine").needs
    lease = shared.held.model_copy(
        update={"combination": changed(shared.held, "config", config), "work_dir": str(desk.folder / "elsewhere")}
    )
    script.replies["/lease"] = [
        LeaseReply(needs=needs).model_dump_json().encode(),
        LeaseReply(lease=lease).model_dump_json().encode(),
        LeaseReply().model_dump_json().encode(),
    ]
    script.replies["/studies/mine/trials/1/hand_back"] = [b'{"action": "go_on"}']
    command = [
        sys.executable, "-m", "runner.worker.agent", "--server", url, "--name", "w", "--owner", "Ann", "--threads", "1",
        "--work-dir", str(work_dir),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=desk.folder, env={**desk.environment(), "SWEEP_TOKEN": TOKEN}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    given_back = [body for path, body in script.heard if path.endswith("/hand_back")]
    assert len(given_back) == 1 and "could name code or a file" in given_back[0]["reason"]
    assert [body["unable"] for path, body in script.heard if path == "/lease"][-1]["mine"] == given_back[0]["reason"]
    assert f"study mine cannot be trained here: {given_back[0]['reason']}" in done.stderr
    assert TOKEN not in done.stderr
    assert not marker.exists() and not (desk.folder / "elsewhere").exists()
    assert not list(desk.folder.rglob("config.py"))


CURSES = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m\r"


def record(shared: House, **changes: Any) -> bytes:
    plain = shared.ask("GET", "/studies").json()[0]
    return json.dumps([{**plain, **changes}]).encode()


def test_what_a_server_says_moves_no_cursor(hostile: tuple[str, Script], shared: House, desk: Desk) -> None:
    url, script = hostile
    trial = {
        **shared.ask("GET", "/studies/mine/trials").json()[1],
        "reason": CURSES,
        "owner": CURSES,
        "failure": CURSES,
    }
    status = {**shared.ask("GET", "/studies/mine/status").json(), "study": CURSES}
    row = {
        "owner": CURSES, "what": CURSES, "metric": CURSES, "score": 0.5, "assignment": None, "note": CURSES,
        "source": CURSES, "line": 2, "content": "0" * 64, "imported_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    script.replies = {
        "/studies": [record(shared, reason=CURSES, objective=CURSES)],
        "/studies/mine/trials": [json.dumps([trial], ensure_ascii=False).encode()],
        "/studies/mine/trials/1": [json.dumps(trial, ensure_ascii=False).encode()],
        "/studies/mine/imports": [json.dumps([row], ensure_ascii=False).encode()],
        "/studies/mine/trials/1/epochs": [b"[]"],
        "/studies/mine/trials/1/attempts": [b"[]"],
        "/studies/mine/status": [json.dumps(status).encode()],
        "/workers": [json.dumps([{**one, "owner": CURSES} for one in shared.ask("GET", "/workers").json()]).encode()],
    }
    (desk.folder / "token").write_text(TOKEN)
    options = ("--server", url, "--token-file", "token")
    for command in (("trials", "show", "1"), ("workers",), ("rank", "--all"), ("status",)):
        done = desk.run(*command, *options)
        assert done.returncode == 0, (command, done.stderr)
        assert all(line.isprintable() for line in (done.stdout + done.stderr).splitlines()), (command, done.stdout)


@pytest.mark.parametrize("name", ["x/../../../../x", "../x", "/tmp/x", "a\0b", "", "a" * 100])
def test_a_name_of_a_study_writes_no_file_elsewhere(
    hostile: tuple[str, Script], shared: House, desk: Desk, name: str
) -> None:
    """``sweep best`` makes a file name of it."""
    url, script = hostile
    script.replies["/studies"] = [record(shared, name=name)]
    (desk.folder / "token").write_text(TOKEN)
    for export in ("config", "checkpoint"):
        done = desk.run("best", "--export", export, "--server", url, "--token-file", "token")
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
        assert "another version of sweep" in done.stderr
    assert {path for path, _ in script.heard} == {"/studies"}


def test_a_file_has_no_more_bytes_than_were_asked_for(hostile: tuple[str, Script], tmp_path: Path) -> None:
    url, script = hostile
    path, target = "/studies/mine/trials/1/artifacts/best.pth", tmp_path / "best.pth"
    script.headers = {"ETag": f'"{"0" * 64}"', "Content-Range": f"bytes 0-0/{2**60}"}
    for content, line in ((b"x", "may have 68,719,476,736"), (b"x" * 100_000, "more than the 1 bytes")):
        script.replies[path] = [content]
        with Client(url, TOKEN) as client, pytest.raises(UserError, match=line):
            Transfer(client.http).download("mine", 1, "best.pth", target)
    script.replies["/plugin"] = [b"x" * 100_000]
    with Client(url, TOKEN) as client, pytest.raises(UserError, match="more than the 1,000 bytes"):
        client.fetch("/plugin", 1000)
    assert not list(tmp_path.iterdir())


def test_a_refusal_moves_no_cursor(hostile: tuple[str, Script]) -> None:
    url, script = hostile
    script.replies["/studies"] = [json.dumps({"detail": f"a{CURSES}b\nc"}).encode()]
    for script.status, kind in ((400, UserError), (404, NotFoundError)):
        with Remote(url, TOKEN) as remote, pytest.raises(kind) as caught:
            remote.studies()
        assert all(line.isprintable() for line in str(caught.value).splitlines())


def test_an_address_elsewhere_gets_no_token(hostile: tuple[str, Script]) -> None:
    """A server that sends its clients on does not make them show the token there."""
    url, script = hostile
    script.status = 307
    with Remote(url, TOKEN) as remote, pytest.raises(UserError):
        remote.studies()
    assert len(script.heard) == 1
