"""What the study server bears: many workers with stand-in trainers over real HTTP, beside Optuna's own ways.

A stand-in trainer trains nothing: it sends its reports as fast as they are taken. So the figures are those of a server
that never rests; with real trainings it answers sooner.

    python benchmarks/load.py                                         # 64 workers, 1,000 trials, SQLite
    python benchmarks/load.py --trials 10000 --rivals 1000
    python benchmarks/load.py --database postgresql --trials 10000    # starts a server of its own (apt: postgresql)

Optuna's gRPC proxy needs grpcio; without it that line is left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(folder) for folder in (ROOT / "benchmarks", ROOT, ROOT / "tests")]  # tests/sweeps is no package

import load_optuna  # noqa: E402
import load_ours  # noqa: E402
from load_crew import Load, Outcome  # noqa: E402

COLUMNS = ("way", "trials", "trials/s", "ask p50", "ask p99", "report p50", "report p99", "end p99", "RSS",
           "CPU", "errors", "wrong")  # fmt: skip


def main() -> None:
    """Runs them one after the other and prints a table; times and CPU (of the server, a trial) in ms, RSS in MiB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--processes", type=int, default=4, help="that the workers' threads are spread over")
    parser.add_argument("--trials", type=int, default=1000, help="of ours")
    parser.add_argument("--reports", type=int, default=12, help="a trial")
    parser.add_argument("--sampler", choices=["random", "tpe"], default="random", help="of ours")
    parser.add_argument("--rivals", type=int, default=1000, help="trials of Optuna's ways; 0 leaves them out")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    load = Load(given.workers, given.processes, given.trials, given.reports)
    found: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="sweep-load-") as name:
        folder = Path(name)
        with load_ours.database(given.database, folder) as url:
            found.append(show(load_ours.run(url("ours"), load, folder, given.sampler)))
            if given.rivals:
                rivals = dataclasses.replace(load, trials=given.rivals)
                if given.trials != given.rivals:
                    found.append(show(load_ours.run(url("again"), rivals, folder / "again", given.sampler)))
                for way in load_optuna.ways(url, folder):
                    found.append(show(load_optuna.run(way, rivals)))
    if given.rivals:
        ours = next(one for one in found if one.trials == given.rivals)
        for one in found[found.index(ours) + 1 :]:
            print(f"sweep serve / {one.way}: {ours.rate / one.rate:.2f} times the trials a second")
    if given.json:
        given.json.write_text(json.dumps([dataclasses.asdict(one) for one in found], indent=1))


def show(one: Outcome) -> Outcome:
    """Prints a line, and the head before the first."""
    if not getattr(show, "headed", False):
        print("  ".join(f"{title:>10}" for title in COLUMNS).replace(f"{'way':>10}", f"{'way':<34}"))
        show.headed = True  # type: ignore[attr-defined]
    cells = [
        one.trials, f"{one.rate:.1f}", *(f"{1000 * one.time(*which):.1f}" for which in (
            ("ask", 0.5), ("ask", 0.99), ("report", 0.5), ("report", 0.99), ("end", 0.99))),
        "" if one.rss is None else f"{one.rss:.0f}", "" if one.cpu is None else f"{1000 * one.cpu / one.trials:.0f}",
        one.errors, one.wrong,
    ]  # fmt: skip
    print(f"{one.way:<34}  " + "  ".join(f"{cell!s:>10}" for cell in cells), flush=True)
    return one


if __name__ == "__main__":
    main()
