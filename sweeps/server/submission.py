"""The message that hands a study to a team's server."""

from __future__ import annotations

from pydantic import Field

from runner.protocol import DataPaths, Message, Scale

_MAX_TEXT = 1_000_000  # characters of a space or a plugin
AWAITED = "its label files are on their way"  # why a study is paused until they are there


class PluginText(Message):
    """A file of the user's own, as it travels to the server."""

    name: str = Field(pattern=r"^[A-Za-z_]\w*\.py$", max_length=100)
    text: str = Field(max_length=_MAX_TEXT)


class Submission(Message):
    """A study for a team's server.

    Attributes:
        space: `sweeps.space.travel` document as YAML.
        scale: decided by whoever submits it.
        data: where the data lie on the machine that submits it, and what they are.
        plugins: the files that the space names.
    """

    space: str = Field(max_length=_MAX_TEXT)
    scale: Scale
    data: DataPaths
    plugins: tuple[PluginText, ...] = ()
