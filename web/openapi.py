"""This module completes the OpenAPI document: what every route answers when it can't, and an example for each call."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from web.access import Needs
from web.examples import REQUESTS, TEXTS, load_examples
from web.models.common import Problem
from web.problems import MEDIA_TYPE

PROBLEMS = {
    "400": "the body is not JSON",
    "401": "no key or session, or none that is good",
    "403": "the key may not do this, or a session's write has no X-CSRF-Token",
    "404": "there is no such thing, or it is not seen by this key",
    "409": "it is not in the state for this",
    "413": "too large",
    "422": "fields are wrong: errors names each with its path",
    "429": "asked too often",
    "503": "something this needs does not answer just now",
}
ALWAYS = ("429", "503")
NAME_OTHERS = ("compare",)  # routes that name backtests in the query


def install(app: FastAPI) -> None:
    """Let the app's document be the completed one."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(app, plain())
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def scope_of(route: APIRoute) -> Needs | None:
    """Return the authority that a route needs; None: it is open to all."""
    return next((each.call for each in route.dependant.dependencies if isinstance(each.call, Needs)), None)


def api_routes(app: FastAPI) -> list[APIRoute]:
    """Return every route of the document."""
    return [route for route in app.routes if isinstance(route, APIRoute) and route.include_in_schema]


def _completed(app: FastAPI, document: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    for name, schema in (
        Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization").pop("$defs", {}).items()
    ):
        schemas[name] = schema
    schemas["Problem"] = {
        name: value
        for name, value in Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization").items()
        if name != "$defs"
    }
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    examples = load_examples()
    for route in api_routes(app):
        for method in route.methods or ():
            _complete(document["paths"][route.path_format][method.lower()], route, examples)
    return document


def _complete(operation: dict[str, Any], route: APIRoute, examples: dict[str, Any]) -> None:
    needs = scope_of(route)
    operation["operationId"] = route.name
    responses = operation["responses"]
    responses.pop("422", None)
    statuses = [*ALWAYS]
    if needs is not None:
        statuses.append("401")
        operation["description"] = f"{operation.get('description', '')}\n\n{_authority(needs)}"
        if needs.scope is not None or _writes(route):
            statuses.append("403")
        operation["security"] = [{"key": []}, {"session": []}]
    if route.dependant.path_params or route.name in NAME_OTHERS:
        statuses.append("404")
    if _writes(route):
        statuses += ["400", "409", "413"]
    if needs is not None or _is_checked(route):  # a query's field that there is not is told as wrong
        statuses.append("422")
    for status in statuses:
        if status not in responses:
            problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
            responses[status] = {"description": PROBLEMS[status], "content": {MEDIA_TYPE: problem}}
    operation["responses"] = dict(sorted(responses.items()))
    if route.name in REQUESTS:
        operation["requestBody"]["content"]["application/json"]["example"] = REQUESTS[route.name]
    for content in _contents(responses, ("text/event-stream", "text/html", "text/plain")) if route.name in TEXTS else ():
        content["example"] = TEXTS[route.name]
    for content in _contents(responses, ("text/csv",)) if route.name in examples else ():
        content["example"] = _as_csv(examples[route.name]["items"][:2])
    if route.name in examples:
        answer = next(content for status, content in operation["responses"].items() if status.startswith("2"))
        answer["content"]["application/json"]["example"] = examples[route.name]


def _contents(responses: dict[str, Any], kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return what good answers hold of these media types."""
    good = [answer.get("content", {}) for status, answer in responses.items() if status.startswith("2")]
    return [content[kind] for content in good for kind in kinds if kind in content]


def _as_csv(rows: list[dict[str, Any]]) -> str:
    """Return an example's rows as the CSV of the same table has them."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(",".join(_cell(each) for each in line) + "\n" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if isinstance(value, int | float) else '"' + text.replace('"', '""') + '"'


def _writes(route: APIRoute) -> bool:
    return bool((route.methods or set()) - {"GET", "HEAD"})


def _is_checked(route: APIRoute) -> bool:
    dependant = route.dependant
    return bool(dependant.path_params or dependant.query_params or dependant.header_params or dependant.body_params)


def _authority(needs: Needs) -> str:
    if needs.scope is None:
        return "Needs a key or a session; shows what that one sees."
    return f"Needs the scope `{needs.scope}`."
