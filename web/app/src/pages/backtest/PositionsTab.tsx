// PositionsTable and PositionStats: what is and was held, what it made and what it cost.
import { useMemo, useState } from "react";
import { backtestPath, url, type EquityChart, type Position, type PositionSummary } from "../../api/client";
import { useResource } from "../../api/resource";
import { useRows } from "../../api/rows";
import { CurvesChart, type Curve } from "../../charts/CurvesChart";
import { Badge, BigMoney, Empty, Failure, Figure, Loading, MarketTime, Panel, Segments } from "../../components/basics";
import { DataTable, type Column, type Sorting } from "../../components/DataTable";
import { format, UNDEFINED, type Kind } from "../../format/numbers";
import { spansDays } from "../../format/times";
import { useVersion, type TabProperties } from "../BacktestPage";

const HOLDS: { value: "all" | "open" | "closed"; label: string }[] = [
  { value: "all", label: "All" },
  { value: "open", label: "Open" },
  { value: "closed", label: "Closed" },
];

export function PositionsTab({ run, version }: TabProperties) {
  const summary = useResource<PositionSummary>(backtestPath(run.backtest_id, "/positions/summary"), { apart: 2_000 });
  useVersion(version, summary.reload);
  return (
    <>
      {summary.error && !summary.value ? <Failure error={summary.error} retry={summary.reload} /> : null}
      {summary.value ? <PositionStats summary={summary.value} run={run} version={version} /> : summary.error ? null : <Loading what="the positions' numbers" />}
      <PositionsTable run={run} version={version} summary={summary.value} />
    </>
  );
}

function PositionsTable({ run, version, summary }: TabProperties & { summary: PositionSummary | undefined }) {
  const [symbol, setSymbol] = useState("");
  const [holds, setHolds] = useState<"all" | "open" | "closed">("all");
  const [sorting, setSorting] = useState<Sorting>({ column: "opened_at", descending: true });
  const filters = { symbol, is_open: holds === "all" ? null : holds === "open" };
  const rows = useRows<Position>((row) => row.position_id, url(backtestPath(run.backtest_id, "/positions"), { ...filters, sort: `${sorting.descending ? "-" : ""}${sorting.column}`, limit: 500 }));
  useVersion(version, rows.refresh);
  const days = spansDays(run.timeframe);
  const currency = run.currency ?? "";
  const ofSymbol = summary?.symbols.find((each) => each.symbol === symbol);
  const totals = holds !== "all" || !summary ? null : symbol ? ofSymbol : summary;
  // Columns that would hold nothing are left out: most runs have no funding, and what is closed has no mark.
  const hasOpen = holds !== "closed" && summary?.open !== 0;
  const hasFunding = summary?.funding !== 0;
  const columns = useMemo(
    () => columnsOf(days, currency, totals ?? null).filter(({ id }) => (hasOpen || (id !== "mark" && id !== "unrealized_pnl")) && (hasFunding || id !== "funding")),
    [days, currency, totals, hasOpen, hasFunding],
  );
  const total = holds === "all" ? (symbol ? ofSymbol?.positions : summary?.positions) : holds === "open" ? (symbol ? ofSymbol?.open : summary?.open) : undefined;
  return (
    <Panel
      flush
      title="Positions"
      actions={
        <>
          <Segments label="Which positions" choices={HOLDS} value={holds} onChange={setHolds} />
          {run.symbols.length > 1 ? (
            <span style={{ width: 140 }}>
              <select aria-label="Symbol" value={symbol} onChange={(event) => setSymbol(event.target.value)}>
                <option value="">All symbols</option>
                {run.symbols.map((each) => (
                  <option key={each}>{each}</option>
                ))}
              </select>
            </span>
          ) : null}
          <Exports id={run.backtest_id} table="positions" filters={{ ...filters }} />
        </>
      }
    >
      {rows.error && rows.items.length === 0 ? <Failure error={rows.error} retry={rows.refresh} /> : null}
      {rows.isLoading && rows.items.length === 0 ? <Loading what="positions" /> : null}
      {!rows.isLoading && !(rows.error && rows.items.length === 0) ? (
        <DataTable
          label="Positions"
          columns={columns}
          rows={rows.items}
          rowKey={(row) => row.position_id}
          total={total}
          sorting={sorting}
          onSort={setSorting}
          onEnd={rows.more}
          empty={<Empty title="No positions">{holds === "open" ? "Nothing is held." : "Nothing that matches was held."}</Empty>}
        />
      ) : null}
    </Panel>
  );
}

interface Totals {
  realized_pnl: number;
  gross_pnl: number;
  commission: number;
  unrealized_pnl?: number | null;
}

function columnsOf(days: boolean, currency: string, totals: Totals | null): Column<Position>[] {
  const money = (id: "unrealized_pnl" | "realized_pnl" | "gross_pnl" | "commission" | "funding" | "mae" | "mfe", header: string, title: string, foot?: number | null): Column<Position> => ({
    id, header, title, right: true, unit: currency,
    cell: (row) => <Figure kind="money" value={row[id]} signed={id !== "commission"} />,
    ...(id === "funding" ? {} : { sort: (row) => row[id] }),
    ...(foot === undefined ? {} : { foot: <Figure kind="money" value={foot} signed={id !== "commission"} /> }),
  });
  return [
    { id: "position_id", header: "#", right: true, cell: (row) => row.position_id, ...(totals ? { foot: "Total" } : {}) },
    { id: "symbol", header: "Symbol", sort: (row) => row.symbol, cell: (row) => row.symbol },
    { id: "side", header: "Side", sort: (row) => row.side, cell: (row) => <span>{row.side}{row.is_open ? <> <Badge tone="good">open</Badge></> : null}</span> },
    { id: "quantity", header: "Quantity", right: true, title: "held now", sort: (row) => row.quantity, cell: (row) => <Figure kind="quantity" value={row.quantity} /> },
    { id: "largest_quantity", header: "Largest", right: true, title: "the largest size that a closed one had", cell: (row) => <Figure kind="quantity" value={row.largest_quantity} /> },
    { id: "average_price", header: "Average", right: true, title: "average price of what opened it", sort: (row) => row.average_price, cell: (row) => <Figure kind="price" value={row.average_price} /> },
    { id: "mark", header: "Mark", right: true, title: "price that it was last valued at", cell: (row) => <Figure kind="price" value={row.mark} /> },
    money("unrealized_pnl", "Unrealised", "at the mark", totals?.unrealized_pnl),
    money("realized_pnl", "Realised", "commissions inside", totals?.realized_pnl),
    money("gross_pnl", "Gross", "without commissions", totals?.gross_pnl),
    money("commission", "Commission", "since its opening", totals?.commission),
    money("funding", "Funding", "added to cash; negative was paid"),
    { id: "return_fraction", header: "Return", right: true, sort: (row) => row.return_fraction, cell: (row) => <Figure kind="percent" value={row.return_fraction} signed /> },
    money("mae", "MAE", "the farthest it went against its holder"),
    money("mfe", "MFE", "the farthest it went with its holder"),
    { id: "bars_held", header: "Bars held", right: true, sort: (row) => row.bars_held, cell: (row) => <Figure kind="count" value={row.bars_held} /> },
    { id: "opened_at", header: "Opened", right: true, sort: (row) => row.opened_at, cell: (row) => <MarketTime at={row.opened_at} days={days} /> },
    { id: "closed_at", header: "Closed", right: true, sort: (row) => row.closed_at, cell: (row) => <MarketTime at={row.closed_at} days={days} /> },
  ];
}

export function Exports({ id, table, filters }: { id: string; table: string; filters?: Record<string, string | boolean | null> }) {
  return (
    <>
      {(["csv", "parquet"] as const).map((form) => (
        <a key={form} className="button" download href={url(backtestPath(id, `/${table}`), { ...filters, format: form })}>
          {form === "csv" ? "CSV" : "Parquet"}
        </a>
      ))}
    </>
  );
}

type Side = PositionSummary["all"];
const SIDE_LINES: [keyof Side, string, Kind, boolean][] = [
  ["trades", "Closed", "count", false],
  ["win_rate", "Win rate", "percent", false],
  ["expectancy", "Expectancy", "money", true],
  ["average_win", "Average win", "money", true],
  ["average_loss", "Average loss", "money", true],
  ["profit_factor", "Profit factor", "ratio", false],
  ["realized_pnl", "Realised", "money", true],
  ["commission", "Commission", "money", false],
  ["average_bars_held", "Bars held, average", "ratio", false],
];

function PositionStats({ summary, run, version }: { summary: PositionSummary } & TabProperties) {
  const currency = run.currency ?? "";
  const headlines: [string, Kind, number | null, boolean, string][] = [
    ["Open positions", "count", summary.open, false, ""],
    ["Unrealised", "money", summary.unrealized_pnl, true, currency],
    ["Realised", "money", summary.realized_pnl, true, currency],
    ["Gross", "money", summary.gross_pnl, true, currency],
    ["Commission", "money", summary.commission, false, currency],
    ["Paid and received", "money", summary.funding - summary.borrow + summary.dividends, true, currency],
    ["Win rate", "percent", summary.all.win_rate, false, ""],
    ["Expectancy", "money", summary.all.expectancy, true, currency],
  ];
  return (
    <>
      <dl className="headlines">
        {headlines.map(([label, kind, value, signed, unit]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>
              {kind === "money" ? <BigMoney value={value} unit={unit} signed={signed} /> : <Figure kind={kind} value={value} signed={signed} />}
            </dd>
          </div>
        ))}
      </dl>
      <div className="grid-2">
        <Panel title="Long and short">
          {summary.all.trades === 0 ? <Empty title="No position was closed yet">Win rate, expectancy and the split by side are of closed positions.</Empty> : null}
          <div hidden={summary.all.trades === 0} className="scroll-x" tabIndex={0} role="region" aria-label="Long and short, in numbers">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col"><span>Closed positions</span></th>
                  {["All", "Long", "Short"].map((name) => (
                    <th key={name} scope="col" className="right"><span>{name}</span></th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {SIDE_LINES.map(([name, label, kind, signed]) => (
                  <tr key={name}>
                    <td className="muted">{label}{kind === "money" ? `, ${currency}` : ""}</td>
                    {[summary.all, summary.long, summary.short].map((side, index) => (
                      <td key={index} className="right">
                        {side.trades === 0 && name !== "trades" ? UNDEFINED : <Figure kind={kind} value={side[name]} signed={signed} />}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Panel>
        <Exposure run={run} version={version} />
      </div>
    </>
  );
}

function Exposure({ run, version }: TabProperties) {
  const chart = useResource<EquityChart>(url(backtestPath(run.backtest_id, "/chart"), { points: 1000 }), { apart: 2_000 });
  useVersion(version, chart.reload);
  const data = chart.value;
  const curves = useMemo<Curve[]>(
    () => (data ? [{ name: "Exposure", colour: "exposure", times: data.time_ms, values: data.exposure, filled: true }, { name: "Cash", colour: 7, times: data.time_ms, values: data.cash }] : []),
    [data],
  );
  const highest = data ? Math.max(0, ...data.exposure) : 0;
  return (
    <Panel title="Exposure over time">
      {chart.error && !data ? <Failure error={chart.error} retry={chart.reload} /> : null}
      {data && data.time_ms.length > 0 ? (
        <CurvesChart curves={curves} kind="count" unit={run.currency ?? ""} days={spansDays(run.timeframe)} size="chart-h-300" description={`Exposure, at most ${format("money", highest)} ${run.currency ?? ""}, and cash`} />
      ) : data ? (
        <Empty title="No marks yet" />
      ) : null}
    </Panel>
  );
}
