"""This module holds the route that takes market data."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from schemas.spec import Symbol
from schemas.times import TimeframeField
from web.access import Submitter
from web.answers import Json
from web.models.catalogue import UploadAnswer
from web.models.common import DataSetPath
from web.services import Wired
from web.uploads import ImportOptions, take_upload

Zone = Annotated[
    str | None,
    Query(max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$", description="of times that name none", examples=["UTC"]),
]

router = APIRouter(prefix="/api", tags=["catalogue"])

BODY = {
    "requestBody": {
        "required": True,
        "description": "one symbol's bars: CSV, or Parquet, with the columns timestamp, open, high, low, close, volume",
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "timestamp,open,high,low,close,volume\n2024-01-02T00:00:00Z,1,2,1,2,10\n",
            },
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post(
    "/datasets/{dataset}/uploads", status_code=201, response_model=UploadAnswer, openapi_extra=BODY, summary="Upload bars"
)
async def upload(
    request: Request, dataset: DataSetPath, principal: Submitter, services: Wired,
    symbol: Annotated[Symbol, Query(examples=["AAPL"])],
    timeframe: Annotated[TimeframeField, Query(examples=["1d"])],
    timezone: Zone = None,
    tick: Annotated[float, Query(ge=0, description="smallest price step; 0: none")] = 0.0,
    lot: Annotated[float, Query(ge=1e-8, description="smallest quantity step")] = 1e-8,
    calendar: Annotated[Literal["exchange", "always"], Query(description="252 or 365 periods a year")] = "exchange",
    adjusted: Annotated[bool, Query(description="splits and dividends are already in the prices")] = False,
    repair: Annotated[bool, Query(description="mend what can be mended, and list what was done")] = False,
) -> Json:  # fmt: skip
    """Check bars as `backtape data import` does, in a process of its own, and store them as a version of a data set.

    What is wrong is told by row and column. A version holds what is uploaded; several symbols are imported by the command line.
    """
    options = ImportOptions(
        dataset=dataset, symbol=symbol, timeframe=timeframe, timezone=timezone, tick=tick, lot=lot, calendar=calendar,
        adjusted=adjusted, repair=repair,
    )  # fmt: skip
    answer = await take_upload(services, request, options)
    services.record(principal, "upload", dataset=dataset, version=answer["version"], is_new=answer["is_new"])
    return Json(answer, 201)
