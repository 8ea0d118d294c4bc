"""Data files, their check, splits, statistics, overlays, and the particle generator; free of torch."""
