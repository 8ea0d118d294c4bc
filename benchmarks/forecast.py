"""How far was the forecast off? For every study of a database, what short measurements foretold and what it took.

    sweep plan SPACE --measure                                   # before: times a few iterations of each searched part
    sweep start SPACE
    python benchmarks/forecast.py --storage sqlite:///sweeps.db  # after: a line a study

Nothing is foretold from a study's own trials, nor from those of another one: only measurements count that were made
before its first trial began. So the stages of a campaign can be compared, of which nobody knew the parts beforehand,
after `sweep plan CAMPAIGN --measure`.
"""

from __future__ import annotations

import argparse

from results.store import Store
from runner.protocol import DataPaths
from sweeps.forecast.calibration import Kept
from sweeps.forecast.forecast import Forecast, review


def main() -> None:
    """Prints a table: study, complete trials, minutes foretold, minutes taken, error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", required=True)
    parser.add_argument("--late", action="store_true", help="count measurements that were made afterwards as well")
    given = parser.parse_args()
    print(f"{'study':24} {'trials':>6} {'foretold':>9} {'took':>9} {'error':>6}   from")
    with Store.open(given.storage, readonly=True) as store:
        for study in store.studies():
            trials = store.trials(study.name)
            begun = [one.started_at for one in trials if one.started_at]
            versions = next((one.versions for one in trials if one.state == "complete"), None)
            if not begun or versions is None:
                continue
            data = DataPaths.model_validate(study.data)
            kept = Kept(study.scale, data, versions["device"], int(versions["threads"])).points()
            known = [point for point in kept if given.late or point.at < min(begun)]
            found = review(Forecast(known), trials)
            if found is None:
                print(f"{study.name:24} nothing foretold: a part of it was not measured before")
                continue
            print(
                f"{study.name:24} {found.trials:6} {60 * found.foretold:7.1f} m {60 * found.took:7.1f} m "
                f"{found.error:6.0%}   {len(known)} measurements"
            )


if __name__ == "__main__":
    main()
