"""This module holds what the routes work with, and makes it: the one place where the web service meets its adapters."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from web.config import WebConfig
from web.limits import RateLimits


@dataclass(slots=True)
class Services:
    """What the routes work with."""

    config: WebConfig
    limits: RateLimits


def services_of(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Wired = Annotated[Services, Depends(services_of)]
