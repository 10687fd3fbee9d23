// Names the statistics and their units for people, as the report does. What it does not know is shown as it is.
import { count, money, percent, quantity, ratio, UNDEFINED } from "./numbers";
import { market } from "./times";

export type StatisticValue = number | string | null;

interface KnownLine {
  name: string;
  label: string;
  format: (value: number) => string;
  isMoney?: boolean;
}

const moneyLine = (name: string, label: string): KnownLine => ({ name, label, format: money, isMoney: true });
const line = (name: string, label: string, format: (value: number) => string): KnownLine => ({ name, label, format });
const days = (value: number): string => `${value.toLocaleString("en-US", { maximumFractionDigits: value < 100 ? 1 : 0 })} days`;
const bars = (value: number): string => `${value.toLocaleString("en-US", { maximumFractionDigits: value < 100 ? 1 : 0 })} bars`;

export const GROUPS: [string, KnownLine[]][] = [
  ["Return", [moneyLine("initial_equity", "Initial equity"), moneyLine("final_equity", "Final equity"), moneyLine("peak_equity", "Peak equity"), line("total_return", "Total return", percent), line("cagr", "Annual growth (CAGR)", percent), line("days", "Length", days)]],
  ["Risk", [line("volatility", "Volatility, annual", percent), line("annual_variance", "Variance, annual", (value) => value.toPrecision(4)), line("downside_deviation", "Downside deviation, per period", percent), line("value_at_risk_95", "Value at risk 95%, per period", percent), line("value_at_risk_99", "Value at risk 99%, per period", percent), line("expected_shortfall_95", "Expected shortfall 95%", percent), line("expected_shortfall_99", "Expected shortfall 99%", percent), line("skewness", "Skewness of returns", ratio), line("kurtosis", "Kurtosis of returns (normal: 3)", ratio)]],
  ["Drawdown", [line("max_drawdown", "Maximum drawdown", percent), line("max_drawdown_start_ns", "… from the peak of", String), line("max_drawdown_trough_ns", "… to the trough of", String), line("max_drawdown_recovery_ns", "… recovered", String), line("max_drawdown_recovery_days", "… from trough to recovery", days), line("longest_drawdown_days", "Longest time below a peak", days)]],
  ["Risk-adjusted", [line("sharpe", "Sharpe ratio", ratio), line("probabilistic_sharpe", "… probability that it is above 0", percent), line("sortino", "Sortino ratio", ratio), line("calmar", "Calmar ratio", ratio), line("omega", "Omega ratio", ratio), line("recovery_factor", "Recovery factor", ratio), line("sqn", "System quality (SQN)", ratio), line("kelly", "Kelly fraction", percent), line("periods_per_year", "Periods per year", quantity)]],
  ["Against the benchmark", [line("benchmark_return", "Benchmark's return", percent), line("alpha", "Alpha, annual", percent), line("beta", "Beta", ratio), line("correlation", "Correlation", ratio), line("tracking_error", "Tracking error, annual", percent), line("information_ratio", "Information ratio", ratio), line("treynor", "Treynor ratio", ratio)]],
  ["Trades", [line("trades", "Closed trades", count), line("long_trades", "… long", count), line("short_trades", "… short", count), line("win_rate", "Win rate", percent), line("win_rate_long", "… long", percent), line("win_rate_short", "… short", percent), line("profit_factor", "Profit factor", ratio), line("profit_factor_long", "… long", ratio), line("profit_factor_short", "… short", ratio), moneyLine("expectancy", "Average PnL"), moneyLine("best_trade", "Best PnL"), moneyLine("worst_trade", "Worst PnL"), line("average_trade_return", "Average return", percent), line("best_trade_return", "Best return", percent), line("worst_trade_return", "Worst return", percent), line("average_bars_held", "Average holding time", bars), line("longest_winning_streak", "Longest winning streak", count), line("longest_losing_streak", "Longest losing streak", count)]],
  ["Profit and cost", [moneyLine("realized_pnl", "Realised PnL"), moneyLine("realized_pnl_long", "… long"), moneyLine("realized_pnl_short", "… short"), moneyLine("commission", "Commission"), moneyLine("funding", "Funding"), moneyLine("dividends", "Dividends"), moneyLine("borrow_cost", "Borrow cost")]],
  ["Activity", [line("exposure", "Time in the market", percent), line("average_exposure", "Average exposure, of initial equity", percent), line("average_leverage", "Average leverage", ratio), line("max_leverage", "Highest leverage", ratio), moneyLine("traded_value", "Traded value"), line("turnover", "Turnover, times initial equity", ratio)]],
];
const KNOWN = new Map(GROUPS.flatMap(([, lines]) => lines.map((each) => [each.name, each])));

/** profit_per_bar gives Profit per bar. */
export const words = (name: string): string => {
  const text = name.replace(/_(ns|ms)$/, "").replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
};

export const labelOf = (name: string): string => KNOWN.get(name)?.label ?? words(name);

export function shown(name: string, value: StatisticValue | undefined, currency: string | null): string {
  if (value === null || value === undefined) return UNDEFINED;
  if (typeof value === "string") return name.endsWith("_ns") ? market(new Date(value), true) : value;
  const known = KNOWN.get(name);
  if (!known) return quantity(Math.abs(value) >= 1 ? Math.round(value * 1e4) / 1e4 : Number(value.toPrecision(4)));
  return known.format(value) + (known.isMoney && currency ? ` ${currency}` : "");
}

/** All statistics in groups; the ones without a group come last. A group that says nothing at all (no benchmark) is left out. */
export function grouped(statistics: Record<string, StatisticValue>): [string, string[]][] {
  const groups = GROUPS.map(([title, lines]): [string, string[]] => [title, lines.map(({ name }) => name).filter((name) => name in statistics)]);
  const others = Object.keys(statistics).filter((name) => !KNOWN.has(name)).sort();
  return [...groups, ["More", others] as [string, string[]]].filter(([, names]) => names.some((name) => statistics[name] !== null));
}
