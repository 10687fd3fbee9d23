"""Requests made from the OpenAPI document, against the real service: whatever is sent, what comes back is documented."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from backtape.openapi_document import openapi_document
from tests.web_service import Service

pytestmark = pytest.mark.real

# The shared stream does not end; these start a process for each request; logout and login change who asks.
LEFT_OUT = ["follow_many", "start_audit", "upload", "login", "logout"]
EXAMPLES = 6  # of each operation, beside one for each wrong value that the document lets one think of
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

# A spec has so many fields that one wrong value for each of them is more than a thousand requests; they all meet the same check.
LARGE = "run_async"

schema = schemathesis.openapi.from_dict(openapi_document()).exclude(operation_id=[*LEFT_OUT, LARGE])
large_schema = schemathesis.openapi.from_dict(openapi_document()).include(operation_id=LARGE)
large_schema.config.phases.coverage.enabled = False


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_what_comes_back_is_what_the_document_says(case: Any, service: Service, finished: str) -> None:
    """No 5xx, a documented status, its content type, its schema: for good requests and for bad ones."""
    ask(case, service, finished)


@large_schema.parametrize()
@settings(max_examples=5 * EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_what_comes_back_of_specs_is_what_the_document_says(case: Any, service: Service, finished: str) -> None:
    """The same for whatever is sent as a spec."""
    ask(case, service, finished)


def ask(case: Any, service: Service, finished: str) -> None:
    headers = {"Authorization": f"Bearer {service.keys['admin']}"}
    if "backtest_id" in (case.path_parameters or {}) and case.method == "GET":
        case.path_parameters["backtest_id"] = finished  # so that there is something to answer
    if str((case.query or {}).get("min_offset", "")).isdecimal():
        del case.query["min_offset"]  # no command has that offset: ten seconds, and 503 (tests/unit/web/test_freshness.py)
    response = case.call(base_url=service.address, headers=headers, timeout=60)
    is_stream = "event-stream" in response.headers.get("content-type", [""])[0]  # of OpenAPI 3.1 its schema is of the whole text
    checks = [each for each in CHECKS if not is_stream or each is not response_schema_conformance]
    case.validate_response(response, checks=checks, headers=headers)
