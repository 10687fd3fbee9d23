// The words of the form: what each policy and each preset means. The rules themselves are explained in docs/execution.md.

/** field -> what it decides, and what each of its values does. */
export const POLICIES: Record<string, { label: string; question: string; values: Record<string, string> }> = {
  market_fill: { label: "Market orders", question: "Where a market order fills", values: { next_open: "at the next bar's open", same_close: "at the close of the bar it was sent in", next_close: "at the next bar's close" } },
  limit_touch: { label: "Limit touch", question: "When a buy limit is reached", values: { inclusive: "low ≤ limit", strict: "low < limit", close: "close ≤ limit, filled at the close", range: "low ≤ limit ≤ high" } },
  gap_limit: { label: "Gap over a limit", question: "The price when a bar opens beyond the limit", values: { open: "the open", limit: "the limit, even outside the bar", close: "the close", within: "the limit, moved into the bar" } },
  stop_touch: { label: "Stop touch", question: "When a buy stop is reached", values: { inclusive: "high ≥ stop", range: "low ≤ stop ≤ high", close: "close ≥ stop, filled at the close" } },
  gap_stop: { label: "Gap over a stop", question: "The price when a bar opens beyond the stop", values: { open: "the open", stop: "the stop, even outside the bar", close: "the close", within: "the stop, or the open where the whole bar is beyond" } },
  stop_limit: { label: "Stop-limit", question: "What happens in the bar that triggers it", values: { from_open: "a limit from the open or the stop on", at_stop: "at the stop, where the limit allows it", same_bar: "tested as a limit in the same bar", on_close: "only when a close passes the limit", path: "goes on along the path" } },
  trail: { label: "Trailing stop", question: "What comes first in a bar", values: { after_bar: "the bar is tested, then moves the stop", before_test: "the bar's extreme moves the stop first", after_close: "the bar is tested, then its close moves the stop" } },
  same_bar: { label: "Several in one bar", question: "Which of several orders fills first", values: { stop_first: "market orders, stops, then limits", submission: "as they were sent", independent: "as they were sent; one-cancels-other after the bar", path: "by the path open, high, low, close", adaptive_path: "the nearer extreme first" } },
  entry_bar: { label: "Attached orders", question: "Whether stop and target work in the entry's own bar", values: { live: "they do", wait: "they wait for the next bar", by_entry: "after a market entry only" } },
  positions: { label: "Positions", question: "Whether orders of one symbol share a position", values: { netting: "one for each symbol", hedging: "every order that closes none opens its own" } },
  liquidation: { label: "Margin call", question: "Which positions it closes", values: { all: "all of them", largest_loss_first: "the largest loss first, until the margin suffices" } },
  period: { label: "Returns per", question: "What one return of the statistics spans", values: { day: "a day that has bars", bar: "a step of the time line" } },
  scope: { label: "What slips", question: "Which orders", values: { aggressive: "market and stop orders", market: "market orders only", all: "limit orders as well" } },
  cash_short: { label: "Too little cash", question: "What becomes of an order that can't be paid", values: { refuse: "rejected when it is sent", cancel: "cancelled at its fill", partial: "filled as far as it can be paid", allow: "filled: no check" } },
};

export const PRESETS: Record<string, string> = {
  "backtesting.py": "Fills at the next open. Attached orders follow the entry's kind. What can't be paid is cancelled at its fill, not refused before.",
  backtrader: "Fills at the next open, orders in the sequence they were sent. Attached orders wait one bar; closes move a trailing stop.",
  lean: "Fills at the close of the bar in hand. A limit must be passed, not only touched. Attached orders wait one bar; cash is not checked.",
  nautilus: "Market orders fill at the close of the bar in hand, all others along the path open, high, low, close. A limit fills at its own price, even over a gap.",
  zipline: "Everything at the next close or a later one, slipping by the share of the bar's volume, of which it takes 2.5% at most. Cash is not checked.",
  vectorbt: "Market orders fill at the close of the bar in hand. Attached orders wait one bar. What can't be paid is filled as far as the cash goes.",
  freqtrade: "Fills at the next open. Prices stay within the bar; a bar's extreme moves a trailing stop before it is tested. Cash is not checked.",
};

export const VARIANTS: Record<string, Record<string, string>> = {
  slippage: { none: "None", fixed: "A fixed amount per unit", basis_points: "Basis points of the price", ticks: "Ticks", percent: "A fraction of the price", spread: "A fraction of the price, paid by what opens", quotes: "The data's own quotes: buys at the ask, sales at the bid", volume_share: "By the share of the bar's volume" },
  resample: { none: "As they are", time: "Longer bars of equal time", volume: "A bar for so much volume", value: "A bar for so much traded value" },
  commission: { none: "None", rate: "A rate, an amount per unit, a fixed fee", maker_taker: "Maker and taker rates", tiered: "Rates by traded value" },
};

const LABELS: Record<string, string> = {
  cash: "Starting cash",
  frames: "Further time frames",
  resample: "Bars that the run sees",
  warmup: "Warm-up, bars",
  detail_timeframe: "Play each bar along bars of",
  borrow_day_count: "Days in a year of borrow rates",
  benchmark: "Benchmark",
  type: "Kind",
  allow_short: "Short positions allowed",
  maintenance_margin: "Maintenance margin",
  volume_limit: "Share of a bar's volume",
  limit_fill_probability: "Chance of a touched limit",
  latency_bars: "Latency, bars",
  latency_seconds: "Latency, seconds",
  periods_per_year: "Periods per year",
  equity_every: "An equity mark every … bars",
  orders: "Record orders",
  memory_mb: "Memory, MB",
  seconds: "Time, seconds",
};

const HINTS: Record<string, string> = {
  frames: "That the strategy looks at as well, with commas between them: 1h, 1d",
  resample: "Made of those of the data set",
  warmup: "Before the first one that is traded in",
  version: "Of the data set; empty: the newest",
  detail_timeframe: "Finer ones of the data, such as 1m; empty: the bar as a whole",
  borrow_day_count: "Of short positions",
  benchmark: "A symbol of the same data set; it is not traded",
  leverage: "Initial margin is 1 / leverage",
  maintenance_margin: "Fraction of exposure; empty: no margin calls",
  volume_limit: "That one bar's fills may take, above 0 to 1",
  limit_fill_probability: "Where a bar touches a limit and does not pass it; drawn from the seed",
  latency_bars: "Of orders, cancels and changes",
  latency_seconds: "The same in time: one of the two",
  equity_every: "Empty: at most 10,000 marks are kept",
  periods_per_year: "Empty: by the calendar, 252 or 365",
  fraction: "Share of equity, 0.95 is 95%",
};

/** buy_below gives Buy below. */
export function labelOf(name: string): string {
  const text = name.replaceAll("_", " ");
  return POLICIES[name]?.label ?? LABELS[name] ?? text.charAt(0).toUpperCase() + text.slice(1);
}

export const hintOf = (name: string): string | undefined => POLICIES[name]?.question ?? HINTS[name];
