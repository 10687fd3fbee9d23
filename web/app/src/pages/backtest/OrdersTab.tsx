// Every order, in its last state.
import { useMemo, useState } from "react";
import { backtestPath, url, type Order } from "../../api/client";
import { useRows } from "../../api/rows";
import { Empty, Failure, Figure, Loading, MarketTime, Panel, Segments } from "../../components/basics";
import { DataTable, type Column, type Sorting } from "../../components/DataTable";
import { UNDEFINED } from "../../format/numbers";
import { spansDays } from "../../format/times";
import { useVersion, type TabProperties } from "../BacktestPage";
import { Exports } from "./PositionsTab";

export function OrdersTab({ run, version }: TabProperties) {
  const [sorting, setSorting] = useState<Sorting>({ column: "submitted_at", descending: false });
  const [which, setWhich] = useState<"all" | "open">("all");
  const rows = useRows<Order>((row) => row.order_id, url(backtestPath(run.backtest_id, "/orders"), { sort: `${sorting.descending ? "-" : ""}${sorting.column}`, is_open: which === "open" ? true : null, limit: 500 }));
  useVersion(version, rows.refresh);
  const columns = useMemo(() => columnsOf(spansDays(run.timeframe), run.currency ?? ""), [run.timeframe, run.currency]);
  if (!run.records_orders) return <Empty title="Orders were not recorded">The spec says so: <code>recording.orders</code> is false. Fills and positions are there.</Empty>;
  return (
    <Panel
      flush
      title="Orders"
      actions={
        <>
          <Segments label="Which orders" choices={[{ value: "all", label: "All" }, { value: "open", label: "Working" }]} value={which} onChange={setWhich} />
          <Exports id={run.backtest_id} table="orders" />
        </>
      }
    >
      {rows.error && rows.items.length === 0 ? <Failure error={rows.error} retry={rows.refresh} /> : null}
      {rows.isLoading && rows.items.length === 0 ? (
        <Loading what="orders" />
      ) : rows.error && rows.items.length === 0 ? null : (
        <DataTable label="Orders" columns={columns} rows={rows.items} rowKey={(row) => row.order_id} total={which === "all" ? run.orders : undefined} sorting={sorting} onSort={setSorting} onEnd={rows.more} empty={<Empty title={which === "open" ? "No order is working" : "No order was sent"} />} />
      )}
    </Panel>
  );
}

function columnsOf(days: boolean, currency: string): Column<Order>[] {
  const price = (id: "limit_price" | "stop_price" | "average_fill_price", header: string): Column<Order> => ({ id, header, right: true, cell: (row) => <Figure kind="price" value={row[id]} /> });
  return [
    { id: "order_id", header: "#", right: true, cell: (row) => row.order_id },
    { id: "symbol", header: "Symbol", sort: (row) => row.symbol, cell: (row) => row.symbol },
    { id: "side", header: "Side", cell: (row) => row.side },
    { id: "order_type", header: "Type", cell: (row) => row.order_type.replaceAll("_", " ") },
    { id: "status", header: "Status", sort: (row) => row.status, cell: (row) => <span className={row.status === "rejected" ? "loss" : row.status === "filled" ? "gain" : ""}>{row.status.replaceAll("_", " ")}</span> },
    { id: "quantity", header: "Quantity", right: true, sort: (row) => row.quantity, cell: (row) => <Figure kind="quantity" value={row.quantity} /> },
    { id: "filled_quantity", header: "Filled", right: true, sort: (row) => row.filled_quantity, cell: (row) => <Figure kind="quantity" value={row.filled_quantity} /> },
    price("limit_price", "Limit"),
    price("stop_price", "Stop"),
    price("average_fill_price", "Fill price"),
    { id: "commission", header: "Commission", unit: currency, right: true, cell: (row) => <Figure kind="money" value={row.commission} /> },
    { id: "time_in_force", header: "In force", cell: (row) => row.time_in_force.toUpperCase() },
    { id: "submitted_at", header: "Submitted", right: true, sort: (row) => row.submitted_at, cell: (row) => <MarketTime at={row.submitted_at} days={days} /> },
    { id: "ended_at", header: "Ended", right: true, sort: (row) => row.ended_at, cell: (row) => <MarketTime at={row.ended_at} days={days} /> },
    { id: "reason", header: "Why it ended", cell: (row) => <span title={row.detail ?? undefined}>{row.reason?.replaceAll("_", " ") ?? UNDEFINED}</span> },
    { id: "tag", header: "Tag", cell: (row) => row.tag ?? UNDEFINED },
  ];
}
