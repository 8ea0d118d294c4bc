"""Threads of torch in a process that trains nothing."""

from __future__ import annotations


def one_thread() -> None:
    """Keeps torch to one thread in this process: more of them wait for each other on busy cores.

    Raises:
        ImportError: torch is not installed.
    """
    import torch

    torch.set_num_threads(1)
