"""What all routes share: the limits of what stands in a path, and how a refusal looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Path
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from results.text import clean

LARGEST = 2**31 - 1  # what a whole number of the database holds
LARGEST_FILE = 2**50  # bytes
_TOLD = 5  # mistakes in one request

Study = Annotated[str, Path(max_length=255)]
Trial = Annotated[int, Path(ge=0, le=LARGEST)]

# The guard asks for the token before anything else; this tells the API's page how.
BEARER = Depends(HTTPBearer(auto_error=False, description="the server's token"))


class Refusal(BaseModel):
    """Why a request was not served, for people, in one line a mistake."""

    detail: str


_REASONS = {
    400: "a mistake in what was asked for",
    401: "the token is missing or another one",
    404: "there is no such study, trial or file",
    408: "the body took too long",
    409: "the lease is not, or no longer, valid",
    413: "the body is too large",
    422: "the request does not fit",
    503: "the database or the disk does not serve the server just now; ask again",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": description} for status, description in _REASONS.items()
}


def plain_file(kind: str) -> dict[int | str, dict[str, Any]]:
    """For a route that answers with bytes of a media type instead of JSON."""
    schema = {"type": "object" if kind == "application/json" else "string"}
    return {200: {"content": {kind: {"schema": schema}}, "description": "its content"}}


def misfit(error: RequestValidationError) -> str:
    """What does not fit, in one line, without repeating what was sent: it may be long, secret, or no text at all."""
    found: Sequence[Any] = error.errors()
    lines = [f"{_place(one['loc'])}: {one['msg']}" for one in found[:_TOLD]]
    more = [f"and {len(found) - _TOLD} more"] if len(found) > _TOLD else []
    return "; ".join([*lines, *more])


def _place(where: Sequence[Any]) -> str:
    names = [str(part)[:60] for part in where]
    return clean(".".join(names[1:] if names[0] == "body" and len(names) > 1 else names))
