"""This module converts: what one unit of an instrument's currency is in account currency, at each step.

Rates are series of the data set, named by their pair: "EUR/USD" says how many dollars a euro is. A rate holds from its time until
the next one; a step uses the last rate whose time is not after the step's start, so nothing is seen ahead. An account in dollars
converts euros by EUR/USD or, where the data set has that one, by one over USD/EUR; never by way of a third currency.
"""

import numpy as np

from engine.errors import CurrencyError
from schemas.actions import RateKind, RateSeries
from schemas.market_data import FloatArray, Market, TimeArray
from schemas.times import format_time


def foreign_currencies(market: Market, account_currency: str) -> list[str]:
    """Return the currencies, other than the account's, that instruments are paid in, sorted."""
    return sorted({instrument.currency for instrument in market.instruments} - {account_currency})


def check_rates(market: Market, account_currency: str, first_ns: int) -> None:
    """Raise CurrencyError, naming the pair, when an instrument's currency can't be converted from the run's first bar on."""
    for currency in foreign_currencies(market, account_currency):
        series, _ = _series(market, currency, account_currency)
        if int(series.time_ns[0]) > first_ns:
            raise CurrencyError(
                f"rates of {series.name} begin at {format_time(int(series.time_ns[0]))}, after the run's first bar at "
                f"{format_time(first_ns)}"
            )


def conversion_rates(market: Market, account_currency: str, times: TimeArray) -> FloatArray:
    """Return the rates of each foreign currency at each step, shape (currencies, steps); (0, 0) where there is none.

    Raises like ``check_rates``.
    """
    currencies = foreign_currencies(market, account_currency)
    if not currencies:
        return np.zeros((0, 0))
    check_rates(market, account_currency, int(times[0]))
    rates = np.empty((len(currencies), len(times)))
    for row, currency in enumerate(currencies):
        series, is_inverse = _series(market, currency, account_currency)
        found = series.rate[np.searchsorted(series.time_ns, times, side="right") - 1]
        rates[row] = 1.0 / found if is_inverse else found
    return rates


def _series(market: Market, currency: str, account_currency: str) -> tuple[RateSeries, bool]:
    """Return the series that converts, and whether it is of the inverse pair."""
    for name, is_inverse in ((f"{currency}/{account_currency}", False), (f"{account_currency}/{currency}", True)):
        series = market.rate_series(RateKind.CONVERSION, name)
        if series is not None:
            return series, is_inverse
    symbols = [instrument.symbol for instrument in market.instruments if instrument.currency == currency]
    raise CurrencyError(
        f"{', '.join(symbols)}: paid in {currency}, and data set {market.dataset} has no conversion rates of "
        f"{currency}/{account_currency}; add them to the data set, or take account.currency {currency}"
    )
