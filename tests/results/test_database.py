"""Opening: what works, and the one line for everything that does not."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest
from locking import Editor
from sqlalchemy import make_url

from results.database import outage
from results.database.opening import CONNECT_SECONDS, _hasty
from results.database.outage import AwayError
from results.database.schema import REVISIONS
from results.errors import ResultsError
from results.records import EpochRecord, StudyRecord
from results.store import Store


def line(url: str, readonly: bool = False) -> str:
    """The message that opening ends with."""
    with pytest.raises(ResultsError) as error:
        Store.open(url, readonly=readonly)
    assert "\n" not in str(error.value)
    return str(error.value)


def foreign(path: Path, *tables: str) -> None:
    with sqlite3.connect(path) as connection:
        for table in tables:
            connection.execute(f"CREATE TABLE {table} (id INTEGER)")
    connection.close()


def test_urls_that_are_none() -> None:
    examples = "write sqlite:///sweeps.db or postgresql+psycopg://USER@HOST/DATABASE"
    assert line("sweeps.db") == f"not a storage URL: 'sweeps.db'; {examples}"
    assert line("postgresql://host:port/x") == f"not a storage URL: 'postgresql://host:port/x'; {examples}"
    assert line("mysql://host/x") == f"storage of the kind mysql is not supported; {examples}"
    memory = "a storage in memory would be lost; name a file: sqlite:///sweeps.db"
    assert line("sqlite://") == line("sqlite:///:memory:") == memory
    plain = "name the file of the storage plainly: sqlite:///sweeps.db, not 'sqlite:///file:x?mode=ro&uri=true'"
    assert line("sqlite:///file:x?mode=ro&uri=true") == plain


def test_a_driver_that_is_not_installed() -> None:
    url = "postgresql+pg8000://user:secret@host/x"
    shown = url.replace("secret", "***")
    assert line(url) == f"the storage {shown} needs the Python package pg8000: pip install pg8000"


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, only text that is long enough to be looked at\n" * 20)
    expected = f"{path} is not an SQLite database (file is not a database); name another --storage"
    assert line(f"sqlite:///{path}") == expected
    assert line(f"sqlite:///{path}", readonly=True) == expected


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    expected = f"{tmp_path} is a folder; name a file, such as --storage sqlite:///{tmp_path}/sweeps.db"
    assert line(f"sqlite:///{tmp_path}") == line(f"sqlite:///{tmp_path}", readonly=True) == expected


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
def test_a_database_that_was_cut_off(url: str, tmp_path: Path, share: float) -> None:
    Store.open(url).close()
    path = tmp_path / "sweeps.db"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    for readonly in (True, False):
        assert line(url, readonly).startswith(f"{path} is damaged (")


def test_another_programs_database_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "places.db"
    foreign(path, "moz_places", "alembic_version", "moz_bookmarks")
    before = path.read_bytes()
    expected = (
        f"{path} belongs to another program (it has the tables alembic_version, moz_bookmarks); name another --storage"
    )
    assert line(f"sqlite:///{path}") == expected
    assert line(f"sqlite:///{path}", readonly=True) == expected
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_called_studies_does_not_make_it_optunas(tmp_path: Path) -> None:
    foreign(tmp_path / "school.db", "studies", "pupils")
    assert "belongs to another program (it has the tables pupils, studies)" in line(
        f"sqlite:///{tmp_path / 'school.db'}"
    )


def test_a_newer_layout(url: str, tmp_path: Path) -> None:
    Store.open(url).close()
    with sqlite3.connect(tmp_path / "sweeps.db") as connection:
        connection.execute("UPDATE sweep_alembic_version SET version_num = '0999'")
    connection.close()
    expected = (
        f"{tmp_path / 'sweeps.db'} was written by a newer version of sweep (layout 0999, not {REVISIONS[-1]}); "
        "update sweep or name another --storage"
    )
    assert line(url) == line(url, readonly=True) == expected


def test_reading_where_nothing_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert line("sqlite:///sweeps.db", readonly=True) == (
        "no sweep has run here yet: sweeps.db does not exist; start one with: sweep start SPACE"
    )
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "sweeps.db").touch()
    assert line("sqlite:///sweeps.db", readonly=True) == (
        "no sweep has run here yet: sweeps.db holds no sweep; start one with: sweep start SPACE"
    )


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "sweeps.db"
    assert line(f"sqlite:///{path}") == f"cannot create {path}: the folder {path.parent} does not exist"


def test_a_read_only_folder(elsewhere: Path) -> None:
    elsewhere.chmod(0o555)
    path = elsewhere / "sweeps.db"
    expected = f"the file or its folder {elsewhere} is read-only; name another --storage"
    assert line(f"sqlite:///{path}") == f"cannot write {path}: {expected}"


def test_a_read_only_file(elsewhere: Path) -> None:
    path = elsewhere / "sweeps.db"
    Store.open(f"sqlite:///{path}").close()
    path.chmod(0o444)
    expected = f"the file or its folder {elsewhere} is read-only; name another --storage"
    assert line(f"sqlite:///{path}") == f"cannot write {path}: {expected}"


def test_a_closed_database_in_a_read_only_folder_can_be_read(elsewhere: Path, study: StudyRecord) -> None:
    url = f"sqlite:///{elsewhere}/my sweeps #1 100%20.db"
    with Store.open(url) as store:
        store.add_study(study)
    elsewhere.chmod(0o555)
    with Store.open(url, readonly=True) as store:
        assert store.study("models") == study


def test_a_reader_sees_what_a_writer_adds_and_changes_nothing(store: Store, url: str) -> None:
    with Store.open(url, readonly=True) as reader:
        assert reader.counts("models")["waiting"] == 1
        store.finish("models", 0, state="complete")
        assert reader.counts("models")["complete"] == 1
        with pytest.raises(ResultsError) as error:
            reader.touch_study("models", state="paused")
        assert str(error.value) == f"{store._database.shown} was opened for reading only"


def test_a_reader_does_not_wait_for_a_writer(store: Store) -> None:
    with store._database.write():
        assert store.counts("models")["waiting"] == 1


def test_a_database_locked_by_another_program(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: StudyRecord
) -> None:
    monkeypatch.setattr("results.database.sqlite.WRITER_SECONDS", 0.2)
    expected = (
        f"another program has {tmp_path / 'sweeps.db'} locked; close it, or let it save or undo what it changes there"
    )
    editor = Editor(tmp_path / "sweeps.db")
    with Store.open(url) as store:
        store.patience = 0.0
        editor.begin()
        for write in (lambda: store.add_study(study), store.keep_claims):
            with pytest.raises(AwayError) as error:
                write()
            assert str(error.value) == expected
        monkeypatch.setattr(outage, "PATIENCE", 0.5)
        assert line(url) == expected
        store.patience = 60.0
        threading.Timer(1.0, editor.over).start()
        store.add_study(study)
        assert store.keep_claims() == set()


def test_who_may_not_wait_long_waits_no_longer_for_a_lock(store: Store, tmp_path: Path) -> None:
    editor = Editor(tmp_path / "sweeps.db")
    editor.begin()
    began = time.monotonic()
    with outage.waiting_at_most(0.5):
        for _ in range(10):  # all together
            with pytest.raises(AwayError):
                store.set_state("models", "paused")
    assert 0.4 < time.monotonic() - began < 5
    editor.over()
    with outage.waiting_at_most(0.0):
        store.set_state("models", "paused")


def test_a_full_disk(store: Store, tmp_path: Path, new_trial: object) -> None:
    """SQLite's own limit of pages gives the same error as a full disk; the store goes on afterwards."""
    connection = store._database._engine.raw_connection()
    connection.cursor().execute("PRAGMA max_page_count=1")
    connection.close()
    with pytest.raises(ResultsError) as error:
        store.add_epoch("models", 0, EpochRecord(1, 0.5, {f"metric {n}": 0.5 for n in range(9000)}))
    expected = f"cannot write {tmp_path / 'sweeps.db'}: the disk is full; make room and start again"
    assert str(error.value) == expected
    assert store.epochs("models", 0) == []


def test_settings_of_sqlite(store: Store) -> None:
    connection = store._database._engine.raw_connection()
    cursor = connection.cursor()
    found = {
        name: cursor.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "foreign_keys", "busy_timeout")
    }
    connection.close()
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000}


def test_optuna_first_then_the_store(url: str, study: StudyRecord) -> None:
    tell(url, 0.25)
    assert line(url, readonly=True).endswith("holds no sweep; start one with: sweep start SPACE")
    with Store.open(url) as store:
        store.add_study(study)
        tell(url, 0.5)
        assert store.study("models") == study
    assert [trial.value for trial in optuna_trials(url)] == [0.25, 0.5]


def test_the_store_first_then_optuna(store: Store, url: str, study: StudyRecord) -> None:
    tell(url, 0.25)
    store.finish("models", 0, state="complete")
    tell(url, 0.5)
    with Store.open(url) as again:
        assert again.counts("models")["complete"] == 1
    assert [trial.value for trial in optuna_trials(url)] == [0.25, 0.5]


def tell(url: str, value: float) -> None:
    storage = optuna.storages.RDBStorage(url)
    told = optuna.create_study(study_name="models", storage=storage, load_if_exists=True)
    told.tell(told.ask(), value)
    storage.engine.dispose()


def optuna_trials(url: str) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(url)
    found = optuna.load_study(study_name="models", storage=storage).get_trials()
    storage.engine.dispose()
    return found


def test_several_processes_may_open_a_new_database_at_once(any_url: str) -> None:
    program = f"from results.store import Store; print(len(Store.open({any_url!r}).studies()))"
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ended = [process.communicate(timeout=60) for process in running]
    assert ended == [("0\n", "")] * 4


def test_reading_loads_neither_alembic_nor_pandas_nor_torch(store: Store, url: str) -> None:
    program = (
        "import sys, results.export; from results.store import Store; from results.ranking.ranking import rank;"
        f"from results.tables.tables import render; s = Store.open({url!r}, readonly=True);"
        "print(render(rank(s.study('models'), s.trials('models')), 'table'));"
        "print([m for m in ('alembic', 'pandas', 'numpy', 'torch', 'mmdet', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_server_that_answers_nothing_is_given_up_soon(tmp_path: Path) -> None:
    """It takes connections and says nothing, as behind a firewall that drops: without a limit one waits for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql+psycopg://kim@127.0.0.1:{port}/sweeps?connect_timeout=2"
        assert "timeout" in line(url, readonly=True)
    assert _hasty(make_url(url)).query["connect_timeout"] == "2"
    assert _hasty(make_url(url.partition("?")[0])).query["connect_timeout"] == str(CONNECT_SECONDS)
