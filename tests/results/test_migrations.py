"""The steps lead from nothing to exactly the models, leave Optuna's tables alone, and can be repeated."""

from __future__ import annotations

from pathlib import Path

import optuna
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect

import results
from results.models import Base
from results.schema import REVISIONS, VERSION_TABLE, is_ours, upgrade


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(results.__file__).parent / "migrations"))
    return ScriptDirectory.from_config(config)


def differences(connection: Connection) -> list[object]:
    options = {"version_table": VERSION_TABLE, "include_name": is_ours, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


def test_from_nothing_to_the_models_and_again(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'sweeps.db'}")
    for _ in range(2):
        with engine.begin() as connection:
            upgrade(connection, "sweeps.db")
    with engine.connect() as connection:
        assert differences(connection) == []
        tables = set(inspect(connection).get_table_names())
    assert tables == {VERSION_TABLE, *Base.metadata.tables}
    assert all(table.startswith("sweep_") for table in tables)
    engine.dispose()


def test_beside_optunas_tables(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sweeps.db'}"
    optuna.storages.RDBStorage(url).engine.dispose()
    engine = create_engine(url)
    with engine.begin() as connection:
        upgrade(connection, "sweeps.db")
        assert differences(connection) == []
        assert {"studies", "trials", "alembic_version"} <= set(inspect(connection).get_table_names())
    engine.dispose()
    optuna.storages.RDBStorage(url).engine.dispose()


def test_the_list_of_layouts_is_that_of_the_steps() -> None:
    steps = [step.revision for step in scripts().walk_revisions()]
    assert tuple(reversed(steps)) == REVISIONS
    assert scripts().get_current_head() == REVISIONS[-1]


def test_back_to_nothing(tmp_path: Path) -> None:
    from alembic import command

    engine = create_engine(f"sqlite:///{tmp_path / 'sweeps.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(results.__file__).parent / "migrations"))
    with engine.begin() as connection:
        upgrade(connection, "sweeps.db")
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == [VERSION_TABLE]
        upgrade(connection, "sweeps.db")
        assert differences(connection) == []
    engine.dispose()
