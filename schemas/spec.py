"""This module defines the spec: what one backtest is to do. The same model serves Kafka, HTTP, CLI and Python.

Strict: no unknown field, no text where a number belongs, no NaN. The *recorded* spec is the submitted one with every
default explicit (also the strategy's parameters, which intake fills in from the strategy's exported schema).
"""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import ConfigDict, Field, model_validator

from schemas.canonical import canonical_json
from schemas.errors import FieldError, TooLargeError, field_error
from schemas.ids import IdField
from schemas.presets import PRESETS
from schemas.times import TimeField, TimeframeField, parse_time, timeframe_ns

MAX_SPEC_BYTES = 64 * 1024

Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Symbol = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9^][A-Za-z0-9._/:^\-]*$")]
MAX_SHORT_TEXT = 128  # characters
ShortText = Annotated[str, Field(min_length=1, max_length=MAX_SHORT_TEXT)]


class Model(pydantic.BaseModel):
    """What all models of outside input have in common."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class TimeResample(Model):
    """Bars of so much time each, made of the data set's shorter ones."""

    type: Literal["time"]
    timeframe: TimeframeField


class VolumeResample(Model):
    """A bar ends with the bar of the data set that brings its volume to ``size``."""

    type: Literal["volume"]
    size: Positive


class ValueResample(Model):
    """A bar ends with the bar of the data set that brings its traded value (volume * close) to ``size``."""

    type: Literal["value"]
    size: Positive


Resample = Annotated[TimeResample | VolumeResample | ValueResample, Field(discriminator="type")]


class DataSpec(Model):
    """Which bars the run sees. ``start`` is inclusive, ``end`` exclusive; both default to what the data set has."""

    dataset: IdField
    version: Annotated[int, Field(ge=1)] | None = None  # the newest at the start of the run
    symbols: Annotated[list[Symbol], Field(min_length=1, max_length=1_000)]
    timeframe: TimeframeField  # of the bars that are read
    resample: Resample | None = None  # what the run's bars are made of them; null: they are the run's bars
    frames: Annotated[list[TimeframeField], Field(max_length=16)] = Field(default_factory=list)  # further ones to look at
    warmup: Annotated[int, Field(ge=0, le=1_000_000)] = 0  # bars before the first one that is traded in
    start: TimeField | None = None
    end: TimeField | None = None

    @property
    def bar_timeframe(self) -> str:
        """The time frame of the run's bars; of bars by volume or value, that of the bars they are made of."""
        return self.resample.timeframe if isinstance(self.resample, TimeResample) else self.timeframe

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start is not None and self.end is not None and parse_time(self.start) >= parse_time(self.end):
            raise ValueError(f"start {self.start} must be before end {self.end}")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("each symbol may stand in the list once")
        if len(set(self.frames)) != len(self.frames) or (self.bar_timeframe in self.frames):
            raise ValueError(f"frames: each further time frame may stand in the list once, and {self.bar_timeframe} is the run's")
        if isinstance(self.resample, TimeResample):
            base, length = timeframe_ns(self.timeframe), timeframe_ns(self.resample.timeframe)
            if length <= base or length % base:
                raise ValueError(f"resample: {self.resample.timeframe} is no multiple of {self.timeframe}, which is read")
        elif self.resample is not None and len(self.symbols) > 1:
            # Bars of several symbols that begin at different times and overlap would show the future of one in the other.
            raise ValueError(f"resample by {self.resample.type} takes one symbol, not {len(self.symbols)}")
        return self


class StrategySpec(Model):
    """A strategy by the name it is registered under, and its parameters. A spec never carries code."""

    name: ShortText
    parameters: dict[str, Any] = Field(default_factory=dict)


class AccountSpec(Model):
    """The account that trades."""

    cash: Positive = 100_000.0
    currency: Annotated[str, Field(pattern=r"^[A-Z0-9]{3,8}$")] = "USD"
    type: Literal["cash", "margin"] = "margin"
    leverage: Annotated[float, Field(ge=1, le=1_000)] = 1.0  # initial margin = 1 / leverage
    maintenance_margin: Fraction | None = None  # fraction of exposure; null: no margin calls
    liquidation: Literal["all", "largest_loss_first"] = "all"  # which positions a margin call closes
    allow_short: bool = True  # a cash account: false
    positions: Literal["netting", "hedging"] = "netting"  # hedging: every order that closes none opens one of its own
    borrow_day_count: Literal[360, 365] = 365  # days of a year of borrow rates

    @model_validator(mode="before")
    @classmethod
    def _cash_is_long_only(cls, document: Any) -> Any:
        if isinstance(document, dict) and document.get("type") == "cash" and "allow_short" not in document:
            return {**document, "allow_short": False}
        return document

    @model_validator(mode="after")
    def _cash_borrows_nothing(self) -> Self:
        if self.type == "cash" and (self.leverage != 1.0 or self.maintenance_margin is not None or self.allow_short):
            raise ValueError("a cash account has leverage 1, no maintenance margin and no short positions: take type margin")
        return self


# Which orders slip. aggressive: market and stop orders; market: market orders only; all: limit orders as well
SlippageScope = Literal["aggressive", "market", "all"]


class NoSlippage(Model):
    type: Literal["none"] = "none"


class FixedSlippage(Model):
    """A fixed amount per unit, against the order."""

    type: Literal["fixed"]
    amount: NonNegative
    scope: SlippageScope = "aggressive"


class BasisPointsSlippage(Model):
    """A fraction of the price in basis points (1e-4), against the order."""

    type: Literal["basis_points"]
    value: Annotated[float, Field(ge=0, le=10_000)]
    scope: SlippageScope = "aggressive"
    limit: Annotated[float, Field(gt=0, le=1)] | None = None  # share of a bar's volume, in whole units; as volume_limit


class TicksSlippage(Model):
    """So many of the instrument's ticks, against the order; with a probability below 1 only where a throw of dice says so."""

    type: Literal["ticks"]
    ticks: Annotated[int, Field(ge=0, le=10_000)]
    probability: Fraction = 1.0  # that an order slips in a bar; the throw follows from seed, order and step alone
    scope: SlippageScope = "aggressive"


class PercentSlippage(Model):
    """A fraction of the price, against the order."""

    type: Literal["percent"]
    rate: Annotated[float, Field(ge=0, le=1)]
    scope: SlippageScope = "aggressive"


class SpreadSlippage(Model):
    """A fraction of the price, paid once: by what a fill opens, of whatever order; what it closes pays nothing."""

    type: Literal["spread"]
    rate: Annotated[float, Field(ge=0, le=1)]


class QuotesSlippage(Model):
    """Buy at the ask, sell at the bid: at the data set's own quotes (docs/execution.md says which ones)."""

    type: Literal["quotes"]
    scope: SlippageScope = "aggressive"


class VolumeShareSlippage(Model):
    """price * (1 +- impact * share^2), share = fill / the bar's volume, at most ``limit``; never past an order's limit."""

    type: Literal["volume_share"]
    limit: Annotated[float, Field(gt=0, le=1)] = 0.025  # share of a bar's volume, in whole units
    impact: NonNegative = 0.1


Slippage = Annotated[
    NoSlippage
    | FixedSlippage
    | BasisPointsSlippage
    | PercentSlippage
    | QuotesSlippage
    | SpreadSlippage
    | TicksSlippage
    | VolumeShareSlippage,
    Field(discriminator="type"),
]


class NoCommission(Model):
    type: Literal["none"] = "none"


class RateCommission(Model):
    """Per fill: ``fixed`` + ``rate`` * traded value + ``per_unit`` * quantity, kept within minimum and maximum."""

    type: Literal["rate"]
    fixed: NonNegative = 0.0
    rate: Annotated[float, Field(ge=-0.1, le=1)] = 0.0
    per_unit: NonNegative = 0.0
    minimum: NonNegative = 0.0
    maximum: NonNegative | None = None


Rate = Annotated[float, Field(ge=-0.1, le=1)]  # of the traded value; negative: a rebate


class Rates(Model):
    """What a limit order that had rested pays, and what every other fill pays, of the traded value."""

    maker: Rate
    taker: Rate

    @model_validator(mode="after")
    def _maker_pays_less(self) -> Self:
        if self.maker > self.taker:
            raise ValueError("maker may not be more than taker: an order's cover is judged by taker")
        return self


class MakerTakerCommission(Rates):
    """Per fill, by whether the order had rested as a limit order."""

    type: Literal["maker_taker"]


class CommissionTier(Rates):
    """The rates from a traded value on, counted over all fills of the run before this one."""

    from_value: NonNegative


class TieredCommission(Model):
    """Per fill, by the value that the run has traded before it."""

    type: Literal["tiered"]
    tiers: Annotated[list[CommissionTier], Field(min_length=1, max_length=32)]

    @model_validator(mode="after")
    def _from_zero_upwards(self) -> Self:
        values = [tier.from_value for tier in self.tiers]
        if values[0] != 0.0 or any(later <= earlier for earlier, later in pairwise(values)):
            raise ValueError("the first tier begins at from_value 0, each other one above the one before")
        return self


Commission = Annotated[NoCommission | RateCommission | MakerTakerCommission | TieredCommission, Field(discriminator="type")]


class ExecutionSpec(Model):
    """How orders are filled: each policy is one small named rule (docs/execution.md)."""

    preset: Literal["backtesting.py", "backtrader", "lean", "nautilus", "zipline", "vectorbt", "freqtrade"] | None = (
        None  # fills in the policies that are left out (schemas/presets.py)
    )
    market_fill: Literal["next_open", "same_close", "next_close"] = "next_open"
    limit_touch: Literal["inclusive", "strict", "close", "range"] = "inclusive"
    gap_limit: Literal["open", "limit", "close", "within"] = "open"
    stop_touch: Literal["inclusive", "range", "close"] = "inclusive"
    gap_stop: Literal["open", "stop", "close", "within"] = "open"
    stop_limit: Literal["from_open", "at_stop", "same_bar", "on_close", "path"] = "from_open"
    trail: Literal["after_bar", "before_test", "after_close"] = "after_bar"
    same_bar: Literal["stop_first", "submission", "independent", "path", "adaptive_path"] = "stop_first"
    entry_bar: Literal["live", "wait", "by_entry"] = "live"
    cash_short: Literal["refuse", "cancel", "partial", "allow"] = "refuse"
    slippage: Slippage = Field(default_factory=NoSlippage)
    commission: Commission = Field(default_factory=NoCommission)
    volume_limit: Annotated[float, Field(gt=0, le=1)] | None = None  # share of a bar's volume that one bar's fills may take
    limit_fill_probability: Fraction = 1.0  # where a bar touches a limit and does not pass it; drawn from the spec's seed
    latency_bars: Annotated[int, Field(ge=0, le=10_000)] = 0  # of orders, cancels and changes, on the merged time line
    latency_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0  # the same in time; one of the two
    detail_timeframe: TimeframeField | None = None  # finer bars along which each bar is played; null: the bar as a whole

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, document: Any) -> Any:
        if isinstance(document, dict) and isinstance(document.get("preset"), str):
            return {**PRESETS.get(document["preset"], {}), **document}
        return document

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.stop_limit == "path" and self.same_bar not in ("path", "adaptive_path"):
            raise ValueError("stop_limit path needs same_bar path or adaptive_path")
        if self.latency_bars > 0 and self.latency_seconds > 0.0:
            raise ValueError("latency is given in bars or in seconds, not in both")
        return self


class StatisticsSpec(Model):
    """What the statistics are computed from."""

    period: Literal["day", "bar"] = "day"
    periods_per_year: Positive | None = None  # null: by the instrument's calendar (252, or 365)
    benchmark: Symbol | None = None  # a symbol of the same data set and timeframe that returns are compared with


class RecordingSpec(Model):
    """What goes into the log. Statistics always use every bar."""

    orders: bool = True  # false: fills and positions only
    equity_every: Annotated[int, Field(ge=1)] | None = None  # bars; null: so that at most 10,000 marks are kept


class LimitsSpec(Model):
    """What the run may use; past it, it fails with a reason."""

    seconds: Annotated[float, Field(gt=0, le=7 * 86_400)] = 3_600.0
    memory_mb: Annotated[int, Field(ge=64, le=1_048_576)] = 2_048


class BacktestSpec(Model):
    """One backtest."""

    data: DataSpec
    strategy: StrategySpec
    account: AccountSpec = Field(default_factory=AccountSpec)
    execution: ExecutionSpec = Field(default_factory=ExecutionSpec)
    statistics: StatisticsSpec = Field(default_factory=StatisticsSpec)
    recording: RecordingSpec = Field(default_factory=RecordingSpec)
    limits: LimitsSpec = Field(default_factory=LimitsSpec)
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    tags: Annotated[list[ShortText], Field(max_length=32)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        detail, resample = self.execution.detail_timeframe, self.data.resample
        is_irregular = resample is not None and not isinstance(resample, TimeResample)
        if is_irregular and (detail is not None or self.execution.latency_seconds > 0.0):
            raise ValueError("bars by volume or value have no fixed length: no detail_timeframe and no latency_seconds with them")
        if detail is not None and timeframe_ns(detail) >= timeframe_ns(self.data.bar_timeframe):
            raise ValueError(f"execution.detail_timeframe {detail} is not finer than the bars of {self.data.bar_timeframe}")
        return self

    @property
    def line_timeframe(self) -> str:
        """The time frame of the bars that orders are matched in."""
        return self.execution.detail_timeframe or self.data.bar_timeframe

    @property
    def needed_symbols(self) -> list[str]:
        """The symbols whose bars a run needs: those it trades, and its benchmark."""
        benchmark = self.statistics.benchmark
        return [*self.data.symbols, *([benchmark] if benchmark is not None and benchmark not in self.data.symbols else [])]

    def recorded(self) -> dict[str, Any]:
        """Return the document that is recorded: every field, every default."""
        return self.model_dump(mode="json")


def parse_spec(document: Any) -> BacktestSpec:
    """Read a spec from decoded JSON.

    Raises FieldError naming each wrong field, its value and what is allowed; TooLargeError above 64 KiB.
    """
    if not isinstance(document, dict):
        raise FieldError.of("spec", document, "a JSON object")
    try:
        spec = BacktestSpec.model_validate(document)
    except pydantic.ValidationError as error:
        raise field_error(error) from error
    check_spec_size(document, name="")
    return spec


def check_spec_size(document: dict[str, Any], *, name: str) -> None:
    """Raise TooLargeError when the document, in its canonical form, has more than 64 KiB.

    name : what refused fields' paths begin with
    """
    size = len(canonical_json(document, name))
    if size > MAX_SPEC_BYTES:
        raise TooLargeError(f"spec: {size} bytes are not allowed: at most {MAX_SPEC_BYTES}")
