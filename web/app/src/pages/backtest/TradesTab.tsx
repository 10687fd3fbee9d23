// Every trade, flat to flat, and how far each went against and with its holder before it ended.
import { useMemo, useState } from "react";
import { backtestPath, url, type Trade } from "../../api/client";
import { useRows } from "../../api/rows";
import { Scatter } from "../../charts/Scatter";
import { Empty, Failure, Figure, Loading, MarketTime, Panel } from "../../components/basics";
import { DataTable, type Column, type Sorting } from "../../components/DataTable";
import { count } from "../../format/numbers";
import { spansDays } from "../../format/times";
import { adjust } from "../../routes";
import { useVersion, type TabProperties } from "../BacktestPage";
import { Exports } from "./PositionsTab";

const MOST_DRAWN = 2_000; // dots: more would be one blot
const ROOM = 0.6; // of a trade's length, shown on each side of it among the bars

export function TradesTab({ run, version }: TabProperties) {
  const [sorting, setSorting] = useState<Sorting>({ column: "closed_at", descending: false });
  const path = backtestPath(run.backtest_id, "/trades");
  const rows = useRows<Trade>((row) => row.trade_id, url(path, { sort: `${sorting.descending ? "-" : ""}${sorting.column}`, limit: 500 }));
  const drawn = useRows<Trade>((row) => row.trade_id, url(path, { limit: MOST_DRAWN }));
  useVersion(version, rows.refresh);
  useVersion(version, drawn.refresh);
  const currency = run.currency ?? "";
  const days = spansDays(run.timeframe);
  const columns = useMemo(() => columnsOf(days, currency), [days, currency]);
  const dots = useMemo(
    () => drawn.items.map((trade) => ({ id: trade.trade_id, label: `Trade ${trade.trade_id}, ${trade.symbol}`, mae: trade.mae, mfe: trade.mfe, y: trade.realized_pnl })),
    [drawn.items],
  );
  if (rows.error && rows.items.length === 0) return <Failure error={rows.error} retry={rows.refresh} />;
  if (rows.isLoading && rows.items.length === 0) return <Loading what="trades" />;
  if (rows.items.length === 0) return <Empty title="No closed trade">{run.status === "running" ? "Trades appear as positions are closed." : "No position was closed; open ones stand under Positions."}</Empty>;
  return (
    <>
      <Panel title="How far trades went before they ended">
        <div className="grid-2">
          <Scatter title="Against: maximum adverse excursion" xLabel="MAE" yLabel="realised" currency={currency} points={dots.map(({ mae, ...dot }) => ({ ...dot, x: mae }))} />
          <Scatter title="With: maximum favourable excursion" xLabel="MFE" yLabel="realised" currency={currency} points={dots.map(({ mfe, ...dot }) => ({ ...dot, x: mfe }))} />
        </div>
        <p className="small muted">
          Filled dots ended with profit, rings with loss.{drawn.hasMore ? ` The first ${count(MOST_DRAWN)} of ${count(run.trades)} trades are drawn.` : ""}
        </p>
      </Panel>
      <Panel flush title="Trades" actions={<Exports id={run.backtest_id} table="trades" />}>
        <DataTable label="Trades" columns={columns} rows={rows.items} rowKey={(row) => row.trade_id} total={run.trades} sorting={sorting} onSort={setSorting} onEnd={rows.more} onOpen={(trade) => showInMarket(trade)} />
      </Panel>
    </>
  );
}

function showInMarket(trade: Trade): void {
  const [from, to] = [Date.parse(trade.opened_at), Date.parse(trade.closed_at)];
  const room = Math.max((to - from) * ROOM, 3_600_000);
  adjust({ tab: "market", symbol: trade.symbol, from: String(Math.round(from - room)), to: String(Math.round(to + room)) }, false);
}

function columnsOf(days: boolean, currency: string): Column<Trade>[] {
  const money = (id: "realized_pnl" | "gross_pnl" | "commission" | "mae" | "mfe", header: string, title: string): Column<Trade> => ({
    id, header, title, right: true, unit: currency, cell: (row) => <Figure kind="money" value={row[id]} signed={id !== "commission"} />, sort: (row) => row[id],
  });
  return [
    { id: "trade_id", header: "#", right: true, cell: (row) => row.trade_id },
    { id: "symbol", header: "Symbol", sort: (row) => row.symbol, cell: (row) => row.symbol },
    { id: "side", header: "Side", sort: (row) => row.side, cell: (row) => (row.side === "buy" ? "long" : "short") },
    { id: "quantity", header: "Quantity", right: true, title: "the largest size it had", sort: (row) => row.quantity, cell: (row) => <Figure kind="quantity" value={row.quantity} /> },
    { id: "average_price", header: "Opened at", right: true, cell: (row) => <Figure kind="price" value={row.average_price} /> },
    { id: "average_close", header: "Closed at", right: true, cell: (row) => <Figure kind="price" value={row.average_close} /> },
    money("realized_pnl", "Realised", "commissions inside"),
    { id: "return_fraction", header: "Return", right: true, sort: (row) => row.return_fraction, cell: (row) => <Figure kind="percent" value={row.return_fraction} signed /> },
    money("commission", "Commission", "of all its fills"),
    money("mae", "MAE", "the farthest it went against its holder"),
    money("mfe", "MFE", "the farthest it went with its holder"),
    { id: "bars_held", header: "Bars held", right: true, sort: (row) => row.bars_held, cell: (row) => <Figure kind="count" value={row.bars_held} /> },
    { id: "opened_at", header: "Opened", right: true, sort: (row) => row.opened_at, cell: (row) => <MarketTime at={row.opened_at} days={days} /> },
    { id: "closed_at", header: "Closed", right: true, sort: (row) => row.closed_at, cell: (row) => <MarketTime at={row.closed_at} days={days} /> },
    { id: "show", header: "Bars", cell: (row) => <button type="button" className="plain small" aria-label={`Show trade ${row.trade_id} among the bars`} onClick={() => showInMarket(row)}>Show</button> },
  ];
}
