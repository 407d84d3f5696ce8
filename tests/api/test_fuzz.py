"""Whatever is asked of the service, it answers as its OpenAPI document says, in time, and nothing of it becomes SQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.utils import quote
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import event

from api.horizon_documents import HorizonDocuments
from aurora_ingest.api.app import create_app
from aurora_ingest.api.serve_options import ServeOptions

SECONDS = 10.0
"""Longest time of an answer: statements have five, searches two, and the machine may be busy."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
QUIET = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
SCHEMA = schemathesis.openapi.from_dict(create_app(ServeOptions(db_url="sqlite:///nowhere.db")).openapi())
OPERATIONS = {each.ok().label: each.ok() for each in SCHEMA.get_all_operations()}
MARK = "zq0x"
_ODD = (
    *("'", '"', "';--", "' OR '1'='1", "%", "\\", "$1", ":a", "%(a)s", "?", "a\nb", "\u0663", "\U0001f4b0", ","),
    *("-1", "0", "1", "9" * 18, "9" * 19, "9" * 400, "1e400", "0x10", "1_0", " 1", "1-", "-", "_", "1_2_3", "G" * 56),
    *("now", "native", "native,native", "native:", ":", "USD:", "true", "null", "[]", "{}", "0" * 72, "0" * 64),
)
HOSTILE = st.one_of(
    st.sampled_from(_ODD),
    st.sampled_from(_ODD).map(lambda text: text + MARK),
    st.text(max_size=40).map(lambda text: text.replace("\0", "")),
)
"""NUL is refused before anything else is looked at, which has its own test."""


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_those_of_the_openapi_document(state_service: str, label: str) -> None:
    operation = OPERATIONS[label]

    @QUIET
    @given(st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode]))
    def ask(case: schemathesis.Case) -> None:
        response = case.call(base_url=state_service, timeout=SECONDS)
        case.validate_response(response, checks=CHECKS)

    ask()


@pytest.mark.parametrize("label", OPERATIONS)
def test_right_and_hostile_values_together(state_service: str, expected: HorizonDocuments, label: str) -> None:
    operation = OPERATIONS[label]
    known = _known_values(expected)

    def values(parameters: Any) -> dict[str, st.SearchStrategy[str]]:
        right = [(each.name, known.get(each.name, HOSTILE)) for each in parameters]
        return {name: st.one_of(values, values, HOSTILE) for name, values in right}

    path_values = {name: each.map(lambda text: text or "-") for name, each in values(operation.path_parameters).items()}

    @QUIET
    @given(st.fixed_dictionaries(path_values), st.fixed_dictionaries({}, optional=values(operation.query)))
    def ask(path: dict[str, str], query: dict[str, str]) -> None:
        quoted = {name: quote(value, safe="") for name, value in path.items()}
        response = session.get(state_service + operation.path.format_map(quoted), params=query, timeout=SECONDS)
        assert response.status_code in {200, 400, 404, 410}, (response.url, response.text)
        if response.status_code != 200:
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["status"] == response.status_code

    with requests.Session() as session, _statements() as statements:
        ask()
    assert statements or operation.path in {"/metrics", "/order_book"} or operation.path.startswith("/paths")
    assert not [each for each in statements if MARK in each]


@contextmanager
def _statements() -> Iterator[set[str]]:
    """Collects the text of every statement that this process sends to a database."""
    found: set[str] = set()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.add(statement)

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)


def _known_values(expected: HorizonDocuments) -> dict[str, st.SearchStrategy[str]]:
    """Returns values that are right, by the parameter's name."""
    accounts = st.sampled_from(sorted(expected.accounts))
    issued = sorted(f"{each['asset_code']}:{each['asset_issuer']}" for each in expected.assets.values())
    assets, issuers = st.sampled_from(["native", *issued]), st.sampled_from([each.split(":")[1] for each in issued])
    lists = st.lists(assets, min_size=1, max_size=3).map(",".join)
    tokens = [*expected.accounts, *map(str, expected.offers), *expected.liquidity_pools, *expected.assets]
    tokens += [each["paging_token"] for each in expected.claimable_balances.values()]
    known = {
        "order": st.sampled_from(["asc", "desc"]),
        "limit": st.integers(1, 200).map(str),
        "cursor": st.sampled_from(tokens),
        "id": st.sampled_from(sorted(expected.claimable_balances)),
        "offer_id": st.sampled_from(sorted(map(str, expected.offers))),
        "liquidity_pool": st.sampled_from(sorted(expected.liquidity_pools)),
        "liquidity_pool_id": st.sampled_from(sorted(expected.liquidity_pools)),
        "asset_code": st.sampled_from([each.split(":")[0] for each in issued]),
        "asset_issuer": issuers,
        "reserves": lists,
        "source_assets": lists,
        "destination_assets": lists,
        "source_amount": st.sampled_from(["1", "0.0000001", "922337203685.4775807"]),
        "destination_amount": st.sampled_from(["1", "0.0000001", "922337203685.4775807"]),
        "sequence": st.integers(1, 100).map(str),
    }
    for prefix in ("selling", "buying", "source", "destination"):
        known[f"{prefix}_asset_type"] = st.sampled_from(["native", "credit_alphanum4", "credit_alphanum12"])
        known[f"{prefix}_asset_code"] = known["asset_code"]
        known[f"{prefix}_asset_issuer"] = issuers
    return (
        known
        | dict.fromkeys(("asset", "selling", "buying"), assets)
        | dict.fromkeys(
            (
                "signer",
                "sponsor",
                "seller",
                "claimant",
                "account",
                "account_id",
                "source_account",
                "destination_account",
            ),
            accounts,
        )
    )
