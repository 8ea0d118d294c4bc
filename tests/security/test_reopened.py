"""Code of studies that the database holds already: where it runs, and that a changed file never does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up import ASK, Bench

from results.store import Store
from runner import userparts
from runner.errors import UserError
from sweeps.cli import main
from sweeps.leases.coordinator import Coordinator
from sweeps.server.app import Server, create_app
from sweeps.server.registry import Registry
from sweeps.server.team import Team
from sweeps.study.setup import reopened

SPACE = """\
study: made_up
data: demo
scale: tiny
plugins: [mine.py]
fixed: {epochs: 2, optimizer: mine_only}
search: {model: [mask_rcnn, solov2]}
"""
PLUGIN = """\
import pathlib
from runner.catalog import add
from runner.catalog.base import Entry, Parameter
pathlib.Path(__file__).with_suffix(".ran").touch()
add(Entry("mine_only", "Mine", "nowhere", {"lr": Parameter("float", 0.1)}), part="optimizer")
"""


class Left(Bench):
    """A study with a plugin, whose trial 0 runs somewhere, and which nobody serves."""

    @property
    def plugin(self) -> Path:
        return self.folder / "mine.py"

    def ran(self) -> bool:
        """Whether the plugin has run since the last question."""
        marker = self.plugin.with_suffix(".ran")
        found = marker.exists()
        marker.unlink(missing_ok=True)
        return found

    def forget(self) -> None:
        """As in a process that begins."""
        for module in list(userparts.loaded()):
            userparts.unload(module)

    def serve(self, plugins: bool) -> list[str]:
        """The studies that a server started now would serve."""
        self.forget()
        with Store.open(self.storage) as store:
            team = Team(store, self.storage, self.folder / "server", plugins=plugins)
            team.reopen()
            return [study.name for study in team.registry.studies()]


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Left]:
    bench = Left(tmp_path, SPACE)
    bench.plugin.write_text(PLUGIN)
    with bench.study() as study:
        assert study.ask() == 0
        study.lease(0, 1, ASK.worker, ASK.owner, ASK.device)
    assert bench.ran()
    bench.forget()
    yield bench
    bench.forget()


def test_a_server_without_leave_does_not_serve_it(left: Left, caplog: pytest.LogCaptureFixture) -> None:
    assert left.serve(plugins=False) == []
    assert not left.ran()
    assert caplog.messages == [
        "study made_up is not served: study made_up brings code of its own (mine.py); a server started with "
        "--allow-plugins runs it"
    ]
    assert left.serve(plugins=True) == ["made_up"] and left.ran()


def test_a_changed_file_is_refused_before_it_runs(left: Left, caplog: pytest.LogCaptureFixture) -> None:
    left.plugin.write_text(PLUGIN + "# more\n")
    assert left.serve(plugins=True) == []
    assert not left.ran()
    line = f"study made_up is not served: plugin {left.plugin} changed since the study began: its hash is "
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith(line)
    left.plugin.unlink()
    assert left.serve(plugins=True) == []
    assert caplog.messages[1].endswith(f"plugin {left.plugin}: there is no such file on this machine; put it there")


def test_an_order_on_ones_own_database_runs_what_the_study_began_with(
    left: Left, capsys: pytest.CaptureFixture[str]
) -> None:
    pause = ["pause", "--storage", left.storage, "--study", "made_up"]
    assert main(pause) == 0 and left.ran()
    assert "study made_up is paused" in capsys.readouterr().out
    left.forget()
    left.plugin.write_text(PLUGIN + "# more\n")
    assert main(pause) == 1 and not left.ran()


def test_a_space_that_names_another_file_is_refused(left: Left) -> None:
    other = left.folder / "other.py"
    other.write_text(PLUGIN)
    with Store.open(left.storage) as store:
        record = store.study("made_up")
        assert record
        store.touch_study("made_up", space_text=record.space_text.replace(str(left.plugin), str(other)))
        changed = store.study("made_up")
    assert changed and str(other) in changed.space_text
    with pytest.raises(UserError, match=r"^its space names other plugins than it began with$"):
        reopened(changed, left.folder / "server")
    assert not other.with_suffix(".ran").exists()


def test_a_server_does_not_say_which_file_a_report_runs(
    left: Left, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_TOKEN", "secret")
    with left.study(workers_survive=True) as study:
        registry = Registry(stays=True)
        registry.add(Coordinator(study))
        left.forget()
        assert left.ran()
        with Server(create_app(registry, "secret")) as server:
            assert main(["report", "--server", server.url]) == 1
    assert not left.ran()
    line = "study made_up brings code of its own (mine), which is not run on a server's word"
    assert capsys.readouterr().err == f"sweep: {line}: do this where the database lies\n"
    assert main(["report", "--storage", left.storage]) == 1 and left.ran()
    assert capsys.readouterr().err.startswith("sweep: no trial of study made_up is complete yet")
