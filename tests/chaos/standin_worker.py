"""A real worker with the stand-in trainer: ``python standin_worker.py``, options as ``-m runner.worker.agent``."""

import sys

from runner.worker.agent import main

if __name__ == "__main__":
    sys.exit(main(trainer="standin"))
