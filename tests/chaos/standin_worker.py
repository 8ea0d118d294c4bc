"""A real worker with the stand-in trainer: ``python standin_worker.py``, options and all as ``-m runner.worker``."""

import sys

from runner.worker import main

if __name__ == "__main__":
    sys.exit(main(trainer="standin"))
