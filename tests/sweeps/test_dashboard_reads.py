"""Our dashboard shows a study and changes none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIServer, make_server

import httpx
import optuna
import optuna_dashboard
import pytest
from made_up import Bench

from sweeps.cli import main
from sweeps.cli.dashboard import read_only


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[WSGIServer, optuna.Study]]:
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'some.db'}", study_name="kept")
    app = read_only(optuna_dashboard.wsgi(study._storage))
    with make_server("127.0.0.1", 0, app) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, study
        server.shutdown()


def test_reading_works_and_writing_is_refused(server: tuple[WSGIServer, optuna.Study]) -> None:
    site, study = server
    url = f"http://127.0.0.1:{site.server_port}"
    listed = httpx.get(f"{url}/api/studies", trust_env=False)
    assert [one["study_name"] for one in listed.json()["study_summaries"]] == ["kept"]
    for method in ("DELETE", "POST", "PUT"):
        answer = httpx.request(method, f"{url}/api/studies/{study._study_id}", trust_env=False)
        assert (answer.status_code, answer.json()) == (405, {"reason": "this dashboard only reads"})
    assert optuna.get_all_study_names(study._storage) == ["kept"]


def test_a_port_that_is_taken_and_a_host_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(tmp_path)
    with bench.study(), socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["dashboard", "--storage", bench.storage, "--port", port]) == 1
    said = f"sweep: cannot listen on 127.0.0.1:{port}: address already in use; --host and --port name another\n"
    assert capsys.readouterr() == ("", said)
    for host in ("nowhere.invalid", "192.0.2.1", ""):
        assert main(["dashboard", "--storage", bench.storage, "--port", "0", "--host", host]) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1) and "; " in err and "should not happen" not in err
