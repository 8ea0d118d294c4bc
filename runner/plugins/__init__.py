"""What MMDetection lacks, registered with it. Importing this package is enough."""

from runner.plugins.metric import StudyMetric
from runner.plugins.reproducible import ReproducibleHook, keep_torch_seeds

__all__ = ["ReproducibleHook", "StudyMetric", "keep_torch_seeds"]
