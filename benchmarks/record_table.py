"""Copies what a study has recorded so far into the simulator's table.

    python benchmarks/record_table.py --storage sqlite:///table.db [--study table] [--out benchmarks/table.json.gz]

How the study is recorded stands at the head of benchmarks/table_space.yaml. The database is only read, so that this
can be repeated while it grows. What the table already has of the same images stays in it, so that seeds can be recorded
one after the other, in databases of their own: --set "search.seed=[1,2]".
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from table import FILE, Row, Table, load, save, table

from results.records import TrialRecord
from results.store import Store


def read(storage: str, name: str) -> Table:
    """All trainings of a study that have ended."""
    with Store.open(storage, readonly=True) as store:
        study = store.study(name)
        if study is None:
            raise SystemExit(f"{storage} has no study {name}")
        trials = [trial for trial in store.trials(name) if trial.finished_at]
        rows = [_row(store, trial) for trial in trials]
    about: dict[str, Any] = {
        "name": name, "objective": study.objective, "scale": study.scale, "data_hash": study.data_hash,
        "n_train": study.data["n_train"], "n_val": study.data["n_val"],
        "versions": trials[0].versions if trials else {},
        "trained_seconds": round(sum(trial.seconds or 0.0 for trial in trials), 1),
    }  # fmt: skip
    return table(about, rows)


def added(kept: Table, new: Table) -> Table:
    """What a table has already, and what a study recorded besides; of a training that both have, the new one.

    Raises:
        SystemExit: they were recorded on other images, another scale or by other versions.
    """
    if differ := [one for one in new.study if one != "trained_seconds" and new.study[one] != kept.study.get(one)]:
        raise SystemExit(f"the table holds trainings with another {', '.join(differ)}: name another file with --out")
    rows = {(row.key, row.seed): row for row in (*kept.rows, *new.rows)}
    seconds = round(sum(sum(row.seconds) for row in rows.values()), 1)
    return table({**new.study, "trained_seconds": seconds}, rows.values())


def _row(store: Store, trial: TrialRecord) -> Row:
    epochs = store.epochs(trial.study, trial.number)
    params = {key: value for key, value in trial.optuna_params.items() if key != "seed"}
    return Row(
        params, trial.seed, trial.state,
        tuple(round(epoch.score or 0.0, 6) for epoch in epochs), tuple(round(epoch.seconds, 3) for epoch in epochs),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--storage", required=True)
    parser.add_argument("--study", default="table")
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--data-hash", help="of a data file that differs in held-out images alone")
    given = parser.parse_args()
    found = read(given.storage, given.study)
    if given.data_hash:
        found = table({**found.study, "data_hash": given.data_hash}, found.rows)
    if given.out.exists():
        found = added(load(given.out), found)
    save(found, given.out)
    best = max(found.means.values(), default=0.0)
    print(
        f"{given.out}: {len(found.rows)} trainings of {len(found.means)} combinations, "
        f"{given.out.stat().st_size / 1000:.0f} kB, best mean {best:.4f}, "
        f"{len(found.good) if found.rows else 0} within half a point of it"
    )


if __name__ == "__main__":
    main()
