"""What a study teaches beyond its winner: which choice matters, and how choices go together."""

from sweeps.report.report import Report, report

__all__ = ["Report", "report"]
