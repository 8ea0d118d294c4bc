"""MMEngine reads checkpoints through our cache, and without running what they bring along."""

from runner.training.loading import load_from_cache, register

register()

__all__ = ["load_from_cache"]
