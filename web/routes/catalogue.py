"""This module holds the routes that tell what there is to run: strategies, presets, data sets, the spec's schema."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from schemas.presets import PRESETS
from schemas.spec import BacktestSpec
from web.access import Anyone
from web.answers import Json
from web.models.catalogue import DataSetAnswer, DataSets, Presets, Strategies
from web.models.common import DataSetPath
from web.services import Wired

router = APIRouter(prefix="/api", tags=["catalogue"])


@router.get("/strategies", response_model=Strategies, summary="Strategies")
async def strategies(_: Anyone, services: Wired) -> Json:
    """Every strategy that this service knows, with its parameters as JSON Schema. The workers' own list decides."""
    return Json({"items": list((await services.strategies.catalogue()).values())})


@router.get("/presets", response_model=Presets, summary="Execution presets")
async def presets(_: Anyone) -> Json:
    """The policies that give users of another engine the fills they know."""
    return Json({"items": [{"name": name, "policies": policies} for name, policies in PRESETS.items()]})


@router.get("/spec/schema", summary="The spec's JSON Schema")
async def spec_schema(_: Anyone) -> dict[str, Any]:
    """What a spec may hold."""
    return BacktestSpec.model_json_schema()


@router.get("/datasets", response_model=DataSets, summary="Data sets")
async def datasets(_: Anyone, services: Wired) -> Json:
    """Every data set in its newest version."""
    return Json({"items": await services.data_sets.summaries()})


@router.get("/datasets/{dataset}", response_model=DataSetAnswer, summary="A data set")
async def dataset(
    dataset: DataSetPath, _: Anyone, services: Wired,
    version: Annotated[int | None, Query(ge=1, le=99_999_999, description="default: the newest")] = None,
) -> Json:  # fmt: skip
    """One version of a data set: symbols, time frames, spans, digests."""
    return Json(await services.data_sets.version(dataset, version))
