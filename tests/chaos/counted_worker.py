"""A real worker and real trainings, counted: ``python counted_worker.py``, options as ``-m runner.worker.agent``."""

import sys

from runner.worker.agent import main

if __name__ == "__main__":
    sys.exit(main(trainer="counted"))
