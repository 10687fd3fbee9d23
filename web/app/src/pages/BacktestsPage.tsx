// All backtests that one may see, live: filters, sorting by the server, bulk cancel, the way to a comparison.
import { useCallback, useEffect, useMemo, useState } from "react";
import { isOver, send, STATUSES, taskPath, url, type BacktestCounts, type BacktestRow, type DataSetSummary, type Strategy } from "../api/client";
import { useRows } from "../api/rows";
import { useResource } from "../api/resource";
import { Badge, Dialog, Empty, Failure, Figure, Loading, Status, When } from "../components/basics";
import { DataTable, type Column, type Sorting } from "../components/DataTable";
import { complain, say } from "../components/toasts";
import { count, percent } from "../format/numbers";
import { useLive, useReconnected } from "../live/stream";
import { useMay } from "../me";
import { address, adjust, backtestAddress, go } from "../routes";
import { useIsNarrow } from "../width";

export const MOST_COMPARED = 12;
// These have no index: of a million rows the database would sort for seconds. Whoever has so many filters by them.
const SORTED_WHILE_FEW = new Set(["status", "strategy", "submitter", "trades"]);
const FEW = 100_000;

const COLUMNS: Column<BacktestRow>[] = [
  { id: "backtest_id", header: "Backtest", sort: (row) => row.backtest_id, cell: (row) => <a className="name" title={row.backtest_id} href={backtestAddress(row.backtest_id)}>{row.backtest_id}</a> },
  { id: "status", header: "Status", sort: (row) => row.status, cell: (row) => <StatusCell row={row} />, width: 170 },
  { id: "strategy", header: "Strategy", sort: (row) => row.strategy, cell: (row) => row.strategy },
  { id: "symbols", header: "Symbols", cell: (row) => <Symbols symbols={row.symbols} /> },
  { id: "timeframe", header: "Bars", cell: (row) => row.timeframe },
  { id: "total_return", header: "Return", right: true, sort: (row) => row.total_return, cell: (row) => <Figure kind="percent" value={row.total_return} signed /> },
  { id: "cagr", header: "CAGR", right: true, sort: (row) => row.cagr, title: "growth per year", cell: (row) => <Figure kind="percent" value={row.cagr} /> },
  { id: "sharpe", header: "Sharpe", right: true, sort: (row) => row.sharpe, cell: (row) => <Figure kind="ratio" value={row.sharpe} /> },
  { id: "max_drawdown", header: "Drawdown", right: true, sort: (row) => row.max_drawdown, title: "the deepest", cell: (row) => <Figure kind="percent" value={row.max_drawdown} /> },
  { id: "trades", header: "Trades", right: true, sort: (row) => row.trades, cell: (row) => <Figure kind="count" value={row.trades} /> },
  { id: "final_equity", header: "Equity", right: true, sort: (row) => row.final_equity, cell: (row) => <Figure kind="money" value={row.final_equity ?? row.equity} {...(row.currency ? { unit: row.currency } : {})} /> },
  { id: "submitter", header: "By", sort: (row) => row.submitter, cell: (row) => row.submitter ?? <span className="muted">–</span> },
  { id: "accepted_at", header: "Accepted", right: true, sort: (row) => row.accepted_at, cell: (row) => <When at={row.accepted_at} relative /> },
];

const NARROW_FIRST = ["backtest_id", "status", "total_return", "sharpe", "max_drawdown"]; // what a phone has room for, or nearly

/** The columns in the order of the room there is: on a phone the numbers come before what is long. */
export function ordered(columns: Column<BacktestRow>[], isNarrow: boolean): Column<BacktestRow>[] {
  if (!isNarrow) return columns;
  columns = columns.map(({ width: _, ...column }) => column);
  const first = NARROW_FIRST.map((id) => columns.find((column) => column.id === id)).filter((column) => column !== undefined);
  return [...first, ...columns.filter((column) => !NARROW_FIRST.includes(column.id))];
}

function StatusCell({ row }: { row: BacktestRow }) {
  if (row.origin === "imported") return <Badge title="Another system's result, brought in: nobody here can run it again">Imported</Badge>;
  if (row.status !== "running" || !row.bars) return <Status status={row.status} />;
  const share = row.bars_done / row.bars;
  return (
    <span className="cell-progress">
      <Status status={row.status} />
      <progress value={share} max={1} aria-label={`Progress of ${row.backtest_id}`} />
      <span className="number small muted hide-narrow">{percent(share).replace(/\.\d+/, "")}</span>
    </span>
  );
}

function Symbols({ symbols }: { symbols: string[] }) {
  const shown = symbols.slice(0, 4).join(" ");
  return (
    <span title={symbols.join(" ")}>
      {shown}
      {symbols.length > 4 ? <span className="muted"> +{symbols.length - 4}</span> : null}
    </span>
  );
}

export function BacktestsPage({ parameters }: { parameters: URLSearchParams }) {
  const statuses = (parameters.get("status") ?? "").split(",").filter(Boolean);
  const sort = parameters.get("sort") ?? "-accepted_at"; // with - before it: descending, as the API has it
  const sorting: Sorting = { column: sort.replace(/^-/, ""), descending: sort.startsWith("-") };
  const filters = { status: statuses, strategy: parameters.get("strategy"), dataset: parameters.get("dataset"), q: parameters.get("q") };
  const isFiltered = statuses.length > 0 || Boolean(filters.strategy || filters.dataset || filters.q);
  const rows = useRows<BacktestRow>((row) => row.backtest_id, url("/api/backtests", { ...filters, sort, limit: 200 }));
  const counts = useResource<BacktestCounts>("/api/backtests/counts", { keep: true });
  const refresh = useCallback(() => {
    rows.refresh();
    counts.reload();
  }, [rows.refresh, counts.reload]);
  useLive({ changes: true, followed: [] }, ({ type, data }) => {
    if (type === "rows") rows.patch((data as { items: BacktestRow[] }).items);
    if (type === "rows" || type === "reload") refresh();
  });
  useReconnected(refresh);
  const areMany = (counts.value?.total ?? 0) > FEW;
  const columns = useMemo(() => (areMany ? COLUMNS.map(({ sort, ...column }) => (sort && !SORTED_WHILE_FEW.has(column.id) ? { ...column, sort } : column)) : COLUMNS), [areMany]);
  const isNarrow = useIsNarrow();
  const shownColumns = useMemo(() => ordered(columns, isNarrow), [columns, isNarrow]);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [lastKey, setLastKey] = useState<string | null>(null);
  const [isCancelling, setCancelling] = useState(false);
  const mayCancel = useMay("cancel");
  const chosen = useMemo(() => rows.items.filter((row) => selected.has(row.backtest_id)), [rows.items, selected]);
  const open = chosen.filter((row) => !isOver(row.status));

  const select = (key: string, range: boolean): void => {
    const keys = rows.items.map((row) => row.backtest_id);
    const next = new Set(selected);
    const [from, to] = [lastKey === null ? -1 : keys.indexOf(lastKey), keys.indexOf(key)].sort((a, b) => a - b) as [number, number];
    if (range && from >= 0) keys.slice(from, to + 1).forEach((each) => next.add(each));
    else if (!next.delete(key)) next.add(key);
    setLastKey(key);
    setSelected(next);
  };
  const selectAll = (): void => setSelected(chosen.length === rows.items.length ? new Set() : new Set(rows.items.map((row) => row.backtest_id)));
  const total = counts.value && !filters.strategy && !filters.dataset && !filters.q ? (statuses.length ? statuses.reduce((sum, each) => sum + (counts.value?.[each as keyof BacktestCounts] ?? 0), 0) : counts.value.total) : undefined;

  return (
    <div className="page">
      <div className="page-head">
        <h1>Backtests</h1>
        <div className="end">
          <a className="button primary" href="#/new">
            New backtest
          </a>
        </div>
      </div>
      <Filters filters={filters} counts={counts.value} />
      {chosen.length > 0 ? (
        <div className="row banner" role="region" aria-label="Selection">
          <span className="number">{count(chosen.length)} selected</span>
          <a className="button" aria-disabled={chosen.length < 2} href={chosen.length >= 2 ? address("/compare", { ids: chosen.slice(0, MOST_COMPARED).map((row) => row.backtest_id).join(",") }) : undefined}>
            Compare{chosen.length > MOST_COMPARED ? ` the first ${MOST_COMPARED}` : ""}
          </a>
          {mayCancel ? (
            <button type="button" className="danger" disabled={open.length === 0} onClick={() => setCancelling(true)}>
              Cancel {open.length > 0 ? count(open.length) : ""} unfinished
            </button>
          ) : null}
          <button type="button" className="plain" onClick={() => setSelected(new Set())}>
            Clear the selection
          </button>
        </div>
      ) : null}
      {rows.error && rows.items.length === 0 ? <Failure error={rows.error} retry={rows.refresh} /> : null}
      {rows.isLoading && rows.items.length === 0 ? (
        <Loading what="backtests" />
      ) : rows.error && rows.items.length === 0 ? null : (
        <div className="stack">
          <DataTable
            label="Backtests"
            columns={shownColumns}
            rows={rows.items}
            rowKey={(row) => row.backtest_id}
            total={total}
            sorting={sorting}
            onSort={({ column, descending }) => adjust({ sort: `${descending ? "-" : ""}${column}` })}
            selected={selected}
            onSelect={select}
            onSelectAll={selectAll}
            onOpen={(row) => go(backtestAddress(row.backtest_id))}
            onEnd={rows.more}
            empty={isFiltered ? <NothingFound /> : <NoneYet />}
          />
          {rows.items.length > 0 ? (
            <p className="table-note">
              <span className="number">
                {count(rows.items.length)}
                {total !== undefined && total > rows.items.length ? ` of ${count(total)}` : ""} loaded
                {rows.hasMore ? "; more come as you scroll" : ""}
              </span>
            </p>
          ) : null}
        </div>
      )}
      {isCancelling ? <CancelDialog rows={open} onClose={() => setCancelling(false)} onDone={refresh} /> : null}
    </div>
  );
}

function Filters({ filters, counts }: { filters: { status: string[]; strategy: string | null; dataset: string | null; q: string | null }; counts: BacktestCounts | undefined }) {
  const strategies = useResource<{ items: Strategy[] }>("/api/strategies");
  const datasets = useResource<{ items: DataSetSummary[] }>("/api/datasets");
  const [text, setText] = useState(filters.q ?? "");
  useEffect(() => setText((before) => (before.trim() === (filters.q ?? "") ? before : (filters.q ?? ""))), [filters.q]);
  const toggle = (status: string): void => {
    const next = filters.status.includes(status) ? filters.status.filter((each) => each !== status) : [...filters.status, status];
    adjust({ status: next.join(",") || null });
  };
  return (
    <form className="row" role="search" onSubmit={(event) => event.preventDefault()}>
      {STATUSES.map((status) => (
        <button key={status} type="button" className="chip" aria-pressed={filters.status.includes(status)} onClick={() => toggle(status)}>
          <Status status={status} />
          {counts ? <span className="number">{count(counts[status])}</span> : null}
        </button>
      ))}
      <span style={{ width: 150 }}>
        <select aria-label="Strategy" value={filters.strategy ?? ""} onChange={(event) => adjust({ strategy: event.target.value || null })}>
          <option value="">All strategies</option>
          {strategies.value?.items.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </span>
      <span style={{ width: 150 }}>
        <select aria-label="Data set" value={filters.dataset ?? ""} onChange={(event) => adjust({ dataset: event.target.value || null })}>
          <option value="">All data sets</option>
          {datasets.value?.items.map(({ dataset }) => (
            <option key={dataset}>{dataset}</option>
          ))}
        </select>
      </span>
      <span style={{ flex: "1 1 180px", maxWidth: 340 }}>
        <input
          type="search"
          aria-label="Search ids, tags and symbols"
          placeholder="Search ids, tags, symbols"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            adjust({ q: event.target.value.trim() || null });
          }}
        />
      </span>
    </form>
  );
}

function NoneYet() {
  return (
    <Empty title="No backtest yet" action={<a className="button primary" href="#/new">Run the first one</a>}>
      Backtests appear here whichever way they were submitted: from this page, by <code>backtape submit</code>, or as a command on Kafka by any other program.
    </Empty>
  );
}

function NothingFound() {
  return (
    <Empty title="No backtest matches" action={<a className="button" href="#/">Show all</a>}>
      No backtest that you may see has all of these properties.
    </Empty>
  );
}

// A key may ask 50 times a second, and 200 times at once: many cancels go out below that.
const AT_ONCE = 20;
const UNHURRIED = 100;
const REST_MILLISECONDS = 600;

function CancelDialog({ rows, onClose, onDone }: { rows: BacktestRow[]; onClose: () => void; onDone: () => void }) {
  const [reason, setReason] = useState("");
  const [isSending, setSending] = useState(false);
  const cancel = async (): Promise<void> => {
    setSending(true);
    const answers: PromiseSettledResult<unknown>[] = [];
    for (let first = 0; first < rows.length; first += AT_ONCE) {
      if (first >= UNHURRIED) await new Promise((resolve) => setTimeout(resolve, REST_MILLISECONDS));
      answers.push(...(await Promise.allSettled(rows.slice(first, first + AT_ONCE).map((row) => send("DELETE", url(taskPath(row.backtest_id), { reason }))))));
    }
    const failed = answers.filter((answer) => answer.status === "rejected");
    const sent = answers.length - failed.length;
    if (sent > 0) say(`Asked to cancel ${count(sent)} backtest${sent === 1 ? "" : "s"}`);
    failed.slice(0, 3).forEach((answer) => complain(answer.reason));
    onDone();
    onClose();
  };
  return (
    <Dialog title={rows.length === 1 ? `Cancel ${rows[0]!.backtest_id}?` : `Cancel ${count(rows.length)} backtests?`} onClose={onClose}>
      <div className="stack">
        <p>What they have recorded so far stays. A cancelled backtest can't be continued.</p>
        <div className="field">
          <label htmlFor="cancel-reason">Reason</label>
          <input id="cancel-reason" value={reason} maxLength={200} onChange={(event) => setReason(event.target.value)} placeholder="Not needed any more" />
        </div>
      </div>
      <div className="row end">
        <button type="button" onClick={onClose}>
          Keep running
        </button>
        <button type="button" className="danger" disabled={isSending} onClick={() => void cancel()}>
          Cancel {rows.length === 1 ? "it" : "them"}
        </button>
      </div>
    </Dialog>
  );
}
