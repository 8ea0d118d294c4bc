"""Imported first by a worker's fork server: it ends in the moment in which the worker does, and its trainers with it.

By itself it would notice, and then take seconds to unload torch while its trainers go on.
"""

from __future__ import annotations

import os

from runner.lifeline import die_with_parent

die_with_parent(os.getppid())
