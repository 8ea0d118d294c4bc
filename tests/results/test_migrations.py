"""The steps lead from nothing to exactly the models, leave Optuna's tables alone, and can be repeated."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from results.database import migrations
from results.database.models import Base
from results.database.schema import REVISIONS, VERSION_TABLE, is_ours, upgrade
from results.errors import ResultsError
from results.store import Store

MIGRATIONS = str(Path(migrations.__file__).parent)
FIRST_LAYOUT = """\
INSERT INTO sweep_combinations (id, digest, hash, parts)
VALUES (1, 'd1', '0a1b2c3d', '{"model": {"name": "htc", "params": {}}, "settings": {"batch_size": 2}}');
INSERT INTO sweep_studies (id, name, state, objective, at, scale, identity, space_text, data, data_hash, detections,
    adapted, work_dir, budget, created_at, started_at)
VALUES (1, 'old', 'running', 'segm_mAP', 'last', 'tiny', '{}', 'study: old', '{}', 'ab', 100, '{}', '/work',
    '{"trials": 4}', '2026-10-01 10:00:00', '2026-10-01 10:00:00');
INSERT INTO sweep_trials (id, study_id, number, combination_id, params, optuna_params, seed, epochs, owner, worker,
    device, state, fence, attempts, score, best_score, best_epoch, metrics, versions, data_hash, created_at)
VALUES (1, 1, 0, 1, '{}', '{}', 0, 1, 'Ann', 'w1', 'cpu', 'complete', 1, 1, 0.25, 0.25, 1, '{"segm_mAP": 0.25}',
    '{}', 'ab', '2026-10-01 10:00:00'), (2, 1, 1, 1, '{}', '{}', 1, 1, 'Ann', 'w1', 'cpu', 'running', 2, 2, NULL,
    NULL, NULL, '{}', '{}', 'ab', '2026-10-01 10:00:00');
INSERT INTO sweep_epochs (trial_id, epoch, score, metrics, seconds, reported_at)
VALUES (1, 1, 0.25, '{"segm_mAP": 0.25}', 2.5, '2026-10-01 10:01:00')"""


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    return ScriptDirectory.from_config(config)


def differences(connection: Connection) -> list[object]:
    options = {"version_table": VERSION_TABLE, "include_name": is_ours, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


def test_from_nothing_to_the_models_and_again(any_url: str) -> None:
    engine = create_engine(any_url)
    for _ in range(2):
        with engine.begin() as connection:
            upgrade(connection, "sweeps.db")
    with engine.connect() as connection:
        assert differences(connection) == []
        tables = set(inspect(connection).get_table_names())
    assert tables == {VERSION_TABLE, *Base.metadata.tables}
    assert all(table.startswith("sweep_") for table in tables)
    engine.dispose()


def test_beside_optunas_tables(any_url: str) -> None:
    optuna.storages.RDBStorage(any_url).engine.dispose()
    engine = create_engine(any_url)
    with engine.begin() as connection:
        upgrade(connection, "sweeps.db")
        assert differences(connection) == []
        assert {"studies", "trials", "alembic_version"} <= set(inspect(connection).get_table_names())
    engine.dispose()
    optuna.storages.RDBStorage(any_url).engine.dispose()


def test_the_list_of_layouts_is_that_of_the_steps() -> None:
    steps = [step.revision for step in scripts().walk_revisions()]
    assert tuple(reversed(steps)) == REVISIONS
    assert scripts().get_current_head() == REVISIONS[-1]


def test_a_database_of_the_first_layout_keeps_what_it_holds(any_url: str) -> None:
    """Filled as version 0.1 left it: a complete trial, one that was running when its owner was killed."""
    from alembic import command

    engine = create_engine(any_url)
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in FIRST_LAYOUT.split(";"):
            connection.execute(text(statement.replace(":", "\\:")))
    engine.dispose()
    with pytest.raises(ResultsError, match="has the layout 0001 of an older version"):
        Store.open(any_url, readonly=True)
    with Store.open(any_url) as store:
        study = store.study("old")
        assert study and (study.state, study.reason, study.budget) == ("running", None, {"trials": 4})
        done, running = store.trials("old")
        assert (done.state, done.score, done.failure, done.adjusted) == ("complete", 0.25, None, None)
        assert (running.state, running.fence, running.retries, running.optuna_number) == ("running", 2, 0, None)
        assert store.attempts("old", 0) == []
        assert [epoch.score for epoch in store.epochs("old", 0)] == [0.25]
        store.release("old", 1, end="stopped")
        store.lease("old", 1, fence=3, worker="w2", owner="Ann", device="cpu")
        assert [attempt.fence for attempt in store.attempts("old", 1)] == [3]
    engine = create_engine(any_url)
    with engine.connect() as connection:
        assert differences(connection) == []
    engine.dispose()


def test_back_to_nothing(any_url: str) -> None:
    from alembic import command

    engine = create_engine(any_url)
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    with engine.begin() as connection:
        upgrade(connection, "sweeps.db")
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == [VERSION_TABLE]
        upgrade(connection, "sweeps.db")
        assert differences(connection) == []
    engine.dispose()
