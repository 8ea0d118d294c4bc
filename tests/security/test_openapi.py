"""Schemathesis over the API's own description, with the token: no 5xx, and every answer as declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from security.house import AUTHORIZED, TOKEN, House, house

ALWAYS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# At random nearly every request would meet a study or trial that is not there.
KNOWN = {"study": "mine", "trial": 1, "half": "val", "fence": 1}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Any]]:
    with house(tmp_path_factory.mktemp("house")) as opened:
        yield opened, schemathesis.openapi.from_url(f"{opened.url}/openapi.json", headers=AUTHORIZED)


def attack(served: tuple[House, Any], examples: int, number: int) -> int:
    """Sends so many requests to every route, half of them against its description; how many were sent."""
    sent = 0
    with requests.Session() as session:
        session.trust_env = False
        for found in served[1].get_all_operations():
            operation = found.ok()
            sent += fitting(operation, session, examples, number)
            if operation.path_parameters or operation.body or operation.query:
                sent += misfitting(operation, session, examples, number)
    return sent


def calm(examples: int) -> settings:
    return settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def fitting(operation: Any, session: requests.Session, examples: int, number: int) -> int:
    """Requests as they are described."""
    sent = 0

    @seed(number)
    @calm(examples)
    @given(case=operation.as_strategy(GenerationMode.POSITIVE), known=st.booleans())
    def one(case: Any, known: bool) -> None:
        nonlocal sent
        sent += 1
        if known:
            for name in set(case.path_parameters or {}) & set(KNOWN):
                case.path_parameters[name] = KNOWN[name]
            if isinstance(case.body, dict) and "fence" in case.body:
                case.body["fence"] = KNOWN["fence"]
        answer = case.call(session=session, headers=AUTHORIZED)
        case.validate_response(answer, checks=ALWAYS)
        assert TOKEN not in answer.text

    one()
    return sent


def misfitting(operation: Any, session: requests.Session, examples: int, number: int) -> int:
    """Requests that the description forbids; they are refused."""
    sent = 0

    @seed(number)
    @calm(examples)
    @given(case=operation.as_strategy(GenerationMode.NEGATIVE))
    def one(case: Any) -> None:
        nonlocal sent
        sent += 1
        answer = case.call(session=session, headers=AUTHORIZED)
        rejected = 400 <= answer.status_code < 500  # schemathesis does not count 413
        case.validate_response(answer, checks=[*ALWAYS, *([] if rejected else [checks.negative_data_rejection])])
        assert TOKEN not in answer.text

    one()
    return sent


def test_no_request_breaks_the_server(served: tuple[House, Any]) -> None:
    opened, _ = served
    assert attack(served, examples=12, number=1) > 300
    assert opened.ask("GET", "/studies/mine/status").status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(4))
def test_no_request_of_very_many_breaks_the_server(served: tuple[House, Any], number: int) -> None:
    assert attack(served, examples=150, number=number) > 3000


def test_the_description_says_that_the_token_is_needed(served: tuple[House, Any]) -> None:
    _, schema = served
    for found in schema.get_all_operations():
        operation = found.ok()
        needs = "security" in operation.definition.raw
        assert needs == (operation.path != "/health"), operation.label
