"""A real worker and real trainings, counted: ``python counted_worker.py``, options and all as ``-m runner.worker``."""

import sys

from runner.worker import main

if __name__ == "__main__":
    sys.exit(main(trainer="counted"))
