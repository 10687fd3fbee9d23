"""This module defines the answers about who asks."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from web.models.common import Answer

Scope = Literal["read", "submit", "cancel", "admin"]


class Me(Answer):
    """Who asks, and what that one may do."""

    name: str = Field(description="the key's name: also the submitter of what it submits")
    key_id: str
    scopes: list[Scope]
    sees_all: bool = Field(description="whether all backtests are visible, and not only this submitter's own")
    is_session: bool = Field(description="whether a browser's session answers for the key")
    csrf_token: str | None = Field(description="of a session: writes carry it in the header X-CSRF-Token; null for a key")
    expires_at: datetime | None = Field(description="when the key, or the session, ends; null: never")
