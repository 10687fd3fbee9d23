// The numbers that are asked for first, the curve, the months, and every statistic.
import { useState } from "react";
import { backtestPath, isOver, url, type EquityChart as Columns, type MonthlyTable, type SymbolStatistics } from "../../api/client";
import { useResource } from "../../api/resource";
import { EquityChart } from "../../charts/EquityChart";
import { HeatMap } from "../../charts/HeatMap";
import { BigMoney, Empty, Failure, Figure, Loading, Panel, Segments } from "../../components/basics";
import { DataTable, type Column } from "../../components/DataTable";
import { type Kind } from "../../format/numbers";
import { grouped, labelOf, shown } from "../../format/statistics";
import { spansDays } from "../../format/times";
import { backtestAddress } from "../../routes";
import { useVersion, type TabProperties } from "../BacktestPage";

const HEADLINES: [keyof TabProperties["run"], string, Kind, boolean][] = [
  ["total_return", "Return", "percent", true],
  ["cagr", "Growth per year", "percent", true],
  ["sharpe", "Sharpe", "ratio", false],
  ["max_drawdown", "Deepest drawdown", "percent", false],
  ["win_rate", "Win rate", "percent", false],
  ["profit_factor", "Profit factor", "ratio", false],
  ["trades", "Trades", "count", false],
];

export function OverviewTab({ run, version }: TabProperties) {
  const chart = useResource<Columns>(url(backtestPath(run.backtest_id, "/chart"), { points: 2000 }));
  const monthly = useResource<MonthlyTable>(isOver(run.status) ? backtestPath(run.backtest_id, "/monthly") : null);
  useVersion(version, chart.reload);
  const [scale, setScale] = useState<"linear" | "log">("linear");
  const [withBenchmark, setWithBenchmark] = useState(true);
  const days = spansDays(run.timeframe);
  const currency = run.currency ?? "";
  const isOnlyRunning = run.status === "running" || run.status === "queued";
  const soFar = isOnlyRunning ? numbersSoFar(run, chart.value) : {};
  return (
    <>
      <dl className="headlines">
        {HEADLINES.map(([name, label, kind, signed]) => (
          <div key={name}>
            <dt>{name in soFar ? `${label} so far` : label}</dt>
            <dd>
              <Figure kind={kind} value={(soFar[name] ?? run[name]) as number | null} signed={signed} />
            </dd>
          </div>
        ))}
        <div>
          <dt>{isOnlyRunning ? "Equity so far" : "Final equity"}</dt>
          <dd>
            <BigMoney value={run.final_equity ?? run.equity} unit={currency} />
          </dd>
        </div>
      </dl>
      <Panel
        title="Equity and drawdown"
        actions={
          <>
            {chart.value?.benchmark ? (
              <label className="check">
                <input type="checkbox" checked={withBenchmark} onChange={(event) => setWithBenchmark(event.target.checked)} />
                {chart.value.benchmark_symbol} held
              </label>
            ) : null}
            <Segments label="Scale" choices={[{ value: "linear", label: "Linear" }, { value: "log", label: "Log" }]} value={scale} onChange={setScale} />
            <a className="button" href={url(backtestPath(run.backtest_id, "/equity"), { format: "csv" })} download>
              CSV
            </a>
          </>
        }
      >
        {chart.error && !chart.value ? <Failure error={chart.error} retry={chart.reload} /> : null}
        {!chart.value && !chart.error ? <Loading what="the equity curve" /> : null}
        {chart.value && chart.value.time_ms.length > 0 ? (
          <EquityChart data={chart.value} currency={currency} days={days} logarithmic={scale === "log"} withBenchmark={withBenchmark} />
        ) : chart.value ? (
          <Empty title={isOnlyRunning ? "No equity yet" : "No equity"}>{isOnlyRunning ? "The curve appears with the first marks." : "The run ended before its first mark."}</Empty>
        ) : null}
      </Panel>
      {monthly.value && monthly.value.years.length > 0 ? (
        <Panel title="Returns by month" actions={monthly.value.is_exact ? null : <span className="muted small">from the recorded marks: the run did not complete</span>}>
          <HeatMap data={monthly.value} />
        </Panel>
      ) : null}
      {run.by_symbol.length > 0 ? <Symbols run={run} /> : null}
      {Object.keys(run.statistics).length > 0 ? <Statistics run={run} /> : <Parameters run={run} />}
    </>
  );
}

/** What can be told before the end, when the engine has its statistics. */
function numbersSoFar(run: TabProperties["run"], chart: Columns | undefined): Partial<Record<keyof TabProperties["run"], number>> {
  if (run.equity === null || run.initial_cash === null || !chart?.drawdown.length) return {};
  return { total_return: run.equity / run.initial_cash - 1, max_drawdown: Math.min(...chart.drawdown) };
}

/** Closed positions by symbol; what sorts by a click stands at its best first. */
function Symbols({ run }: { run: TabProperties["run"] }) {
  const currency = run.currency ?? "";
  const money = (id: "realized_pnl" | "gross_pnl" | "commission", header: string): Column<SymbolStatistics> => ({
    id, header, unit: currency, right: true, sort: (row) => row[id], cell: (row) => <Figure kind="money" value={row[id]} signed={id !== "commission"} />,
    ...(run.by_symbol.length > 1 ? { foot: <Figure kind="money" value={run.by_symbol.reduce((sum, row) => sum + row[id], 0)} signed={id !== "commission"} /> } : {}),
  });
  const columns: Column<SymbolStatistics>[] = [
    { id: "symbol", header: "Symbol", sort: (row) => row.symbol, cell: (row) => <a href={backtestAddress(run.backtest_id, { tab: "market", symbol: row.symbol })}>{row.symbol}</a>, ...(run.by_symbol.length > 1 ? { foot: "Total" } : {}) },
    { id: "trades", header: "Trades", right: true, sort: (row) => row.trades, cell: (row) => <Figure kind="count" value={row.trades} />, ...(run.by_symbol.length > 1 ? { foot: <Figure kind="count" value={run.by_symbol.reduce((sum, row) => sum + row.trades, 0)} /> } : {}) },
    { id: "win_rate", header: "Win rate", right: true, sort: (row) => row.win_rate, cell: (row) => <Figure kind="percent" value={row.win_rate} /> },
    { id: "profit_factor", header: "Profit factor", right: true, sort: (row) => row.profit_factor, cell: (row) => <Figure kind="ratio" value={row.profit_factor} /> },
    money("realized_pnl", "Realised"),
    money("gross_pnl", "Gross"),
    money("commission", "Commission"),
  ];
  return (
    <Panel flush title="Symbol by symbol">
      <DataTable label="Closed positions by symbol" columns={columns} rows={run.by_symbol} rowKey={(row) => row.symbol} />
    </Panel>
  );
}

function Statistics({ run }: { run: TabProperties["run"] }) {
  return (
    <>
      <Panel title="Statistics">
        <div className="columns">
          {grouped(run.statistics).map(([title, names]) => (
            <section key={title}>
              <h3>{title}</h3>
              <dl className="figures">
                {names.map((name) => (
                  <div key={name}>
                    <dt>{labelOf(name)}</dt>
                    <dd>{shown(name, run.statistics[name], run.currency)}</dd>
                  </div>
                ))}
              </dl>
            </section>
          ))}
        </div>
      </Panel>
      <Parameters run={run} />
    </>
  );
}

function Parameters({ run }: { run: TabProperties["run"] }) {
  const [isShort, setShort] = useState(true);
  if (!run.spec) return null;
  const strategy = run.spec["strategy"] as { parameters?: Record<string, unknown> } | undefined;
  const parameters = Object.entries(strategy?.parameters ?? {});
  return (
    <Panel
      title="What was asked for"
      actions={
        <button type="button" aria-expanded={!isShort} onClick={() => setShort(!isShort)}>
          {isShort ? "Show the whole spec" : "Show the parameters only"}
        </button>
      }
    >
      {isShort ? (
        <dl className="facts">
          <dt>strategy</dt>
          <dd>{run.strategy}</dd>
          {parameters.map(([name, value]) => (
            <Fact key={name} name={name} value={value} />
          ))}
        </dl>
      ) : (
        <pre tabIndex={0}>{JSON.stringify(run.spec, null, 2)}</pre>
      )}
    </Panel>
  );
}

function Fact({ name, value }: { name: string; value: unknown }) {
  return (
    <>
      <dt>{name}</dt>
      <dd className="number" style={{ whiteSpace: "normal" }}>
        {typeof value === "object" ? <code>{JSON.stringify(value)}</code> : String(value)}
      </dd>
    </>
  );
}
