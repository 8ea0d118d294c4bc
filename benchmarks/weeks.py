"""All four weeks at tiny scale on generated particles: the campaign, what is left of its gain, and its forecast.

    python benchmarks/weeks.py FOLDER [--epochs 4] [--seeds 3]     # about an hour on 2 cores; goes on if interrupted

1. draws particles: 32 training, 40 validation and 80 held-out pictures of 96 x 96;
2. times a few iterations of each part that the campaign may try (`sweep plan --measure`), before anything is trained;
3. runs search_spaces/campaign.yaml, 54 trainings in five stages, which ends on the held-out pictures;
4. trains its best and its first combination with further seeds and scores those there (`sweep confirm`);
5. compares the hours of each stage with what the measurements had foretold (benchmarks/forecast.py).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
CAMPAIGN = ROOT / "search_spaces" / "campaign.yaml"
SWEEP = [sys.executable, "-c", "import sys; from sweeps.cli import main; sys.exit(main())"]
PICTURES = ["--images", "32", "--val", "40", "--test", "1", "--holdout", "80", "--size", "96x96", "--seed", "7",
            "--unlabelled", "0", "--density", "200", "--view", "0.04"]  # fmt: skip
WORKERS = ("--workers", "2")  # of one thread each: small images leave a second one idle


def run(folder: Path, *arguments: str) -> None:
    """A command of ours in the folder; its failure ends this."""
    print(f"\n$ sweep {' '.join(arguments)}", flush=True)
    begun = time.monotonic()
    code = subprocess.run([*SWEEP, *arguments], cwd=folder, check=False).returncode
    if code:
        raise SystemExit(code)
    print(f"({time.monotonic() - begun:.0f} s)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3, help="further ones of the best and the first combination")
    given = parser.parse_args()
    folder: Path = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "particles").exists():
        run(folder, "data", "demo", "particles", *PICTURES)
    settings = ("--scale", "tiny", "--set", "fixed.image_size=96", "--set", f"fixed.epochs={given.epochs}")
    campaign = (str(CAMPAIGN), "--data", "particles/data.yaml", *settings, *WORKERS)
    run(folder, "plan", *campaign, "--measure")
    run(folder, "start", *campaign)
    run(folder, "confirm", "--study", "campaign", "--seeds", str(given.seeds), *WORKERS)
    subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "forecast.py"), "--storage", f"sqlite:///{folder}/sweeps.db"],
        check=True,
    )


if __name__ == "__main__":
    main()
