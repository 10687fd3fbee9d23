// One backtest: what was asked for, how far it is, what came of it, and the proof.
import { useCallback, useEffect, useState } from "react";
import { backtestPath, isOver, url, type BacktestResult, type BacktestRow } from "../api/client";
import type { components } from "../api/schema";
import { useResource, useThrottled } from "../api/resource";
import { Empty, Failure, Loading, Tabs } from "../components/basics";
import { Problem } from "../api/problem";
import { count } from "../format/numbers";
import { useLive, useReconnected } from "../live/stream";
import { adjust } from "../routes";
import { Head } from "./backtest/Head";
import { LogTab } from "./backtest/LogTab";
import { MarketTab } from "./backtest/MarketTab";
import { OrdersTab } from "./backtest/OrdersTab";
import { OverviewTab } from "./backtest/OverviewTab";
import { PositionsTab } from "./backtest/PositionsTab";
import { ProvenanceTab } from "./backtest/ProvenanceTab";
import { TradesTab } from "./backtest/TradesTab";

type Status = components["schemas"]["TaskStatus"];

const TABS = ["overview", "market", "positions", "trades", "orders", "log", "provenance"] as const;
type Tab = (typeof TABS)[number];

const TABS_APART = 2_000; // milliseconds between two readings of a tab's rows

/** What every tab is given. `version` counts what has changed: a tab reads its rows again when it moves. */
export interface TabProperties {
  run: BacktestResult;
  version: number;
}

export function useVersion(version: number, reload: () => void): void {
  useEffect(() => {
    if (version > 0) reload();
  }, [version, reload]);
}

export default function BacktestPage({ id, parameters }: { id: string; parameters: URLSearchParams }) {
  const status = useResource<Status>(`/api/backtests/status/${encodeURIComponent(id)}`);
  const state = status.value?.status;
  const isKnown = state !== undefined && state !== "submitted" && state !== "rejected";
  const result = useResource<BacktestResult>(isKnown ? backtestPath(id) : null);
  const [version, setVersion] = useState(0);
  const [news, setNews] = useState<BacktestRow | null>(null);
  const moved = useThrottled(useCallback(() => setVersion((before) => before + 1), []), TABS_APART);
  const refresh = useCallback(() => {
    status.reload();
    result.reload();
    moved();
  }, [status.reload, result.reload, moved]);
  const known = result.value;
  // What is over changes no more: only an open run is followed.
  useLive({ changes: !isKnown, followed: known && !isOver(known.status) ? [id] : [] }, ({ type, data }) => {
    if (type === "rows" && (data as { items: BacktestRow[] }).items.some((row) => row.backtest_id === id)) return refresh();
    if (!concerns(data, id)) return;
    if (type === "state") {
      const { row } = data as { row: BacktestRow };
      setNews(row);
      if (isOver(row.status)) return refresh();
    }
    if (type === "end") return refresh();
    moved();
  });
  useReconnected(refresh);
  const auditState = known?.audit?.state;
  useRepeated(state === "submitted" ? status.reload : null, 1_000);
  // The compactor writes the snapshot a moment after the end; an audit asks for it.
  useRepeated(known && isOver(known.status) && known.manifest_key === null ? result.reload : null, 3_000);
  useRepeated(auditState === "queued" || auditState === "running" ? result.reload : null, 1_000);

  const asked = parameters.get("tab") as Tab | null;
  const tab: Tab = asked !== null && TABS.includes(asked) ? asked : "overview";
  if (!status.value) return status.error ? <NotThere id={id} error={status.error} retry={status.reload} /> : <Loading what={id} />;
  if (!isKnown) return <Before id={id} status={status.value} />;
  if (!result.value) return result.error ? <Failure error={result.error} retry={result.reload} /> : <Loading what={id} />;
  const run: BacktestResult = news !== null && news.last_sequence > result.value.last_sequence ? { ...result.value, ...news } : result.value;
  const given = { run, version };
  const choices = [
    { value: "overview" as const, label: "Overview" },
    { value: "market" as const, label: "Market" },
    { value: "positions" as const, label: <>Positions <Count value={run.positions_total} /></> },
    { value: "trades" as const, label: <>Trades <Count value={run.trades} /></> },
    { value: "orders" as const, label: <>Orders <Count value={run.orders} /></> },
    { value: "log" as const, label: <>Log <Count value={run.last_sequence} /></> },
    { value: "provenance" as const, label: "Provenance" },
  ];
  return (
    <div className="page">
      <Head run={run} status={status.value} refresh={refresh} />
      {status.error ? <Failure error={status.error} retry={refresh} /> : null}
      <Tabs label="Parts of this backtest" choices={choices} value={tab} onChange={(next) => adjust({ tab: next === "overview" ? null : next })}>
        {tab === "overview" ? <OverviewTab {...given} /> : null}
        {tab === "market" ? <MarketTab {...given} parameters={parameters} /> : null}
        {tab === "positions" ? <PositionsTab {...given} /> : null}
        {tab === "trades" ? <TradesTab {...given} /> : null}
        {tab === "orders" ? <OrdersTab {...given} /> : null}
        {tab === "log" ? <LogTab {...given} /> : null}
        {tab === "provenance" ? <ProvenanceTab {...given} refresh={refresh} /> : null}
      </Tabs>
    </div>
  );
}

/** Ask again as long as there is something to wait for that the stream does not tell. */
function useRepeated(action: (() => void) | null, every: number): void {
  useEffect(() => {
    if (action === null) return;
    const timer = setInterval(action, every);
    return () => clearInterval(timer);
  }, [action, every]);
}

function concerns(data: unknown, id: string): boolean {
  return typeof data === "object" && data !== null && (data as { backtest_id?: unknown }).backtest_id === id;
}

function Count({ value }: { value: number }) {
  return <span className="number">{count(value)}</span>;
}

function NotThere({ id, error, retry }: { id: string; error: unknown; retry: () => void }) {
  if (Problem.of(error).status !== 404) return <Failure error={error} retry={retry} />;
  return (
    <Empty isPage title="There is no such backtest" action={<a className="button" href="#/">All backtests</a>}>
      No backtest <code>{id}</code> was submitted, or it belongs to somebody whose backtests you may not see.
    </Empty>
  );
}

/** Kafka has the command, and the read model no row: it is on its way, or it was refused. */
function Before({ id, status }: { id: string; status: Status }) {
  if (status.status === "rejected" || isOver(status.status)) {
    return (
      <div className="page">
        <h1>{id}</h1>
        <div className="banner bad" role="alert">
          <h2>It was not accepted{status.receipt?.reason ? `: ${status.receipt.reason.replaceAll("_", " ")}` : ""}</h2>
          <p>{status.receipt?.detail}</p>
          <div className="row">
            <a className="button" href={url("#/new", { from: id })}>
              Change it and submit again
            </a>
          </div>
        </div>
      </div>
    );
  }
  return (
    <div className="page">
      <h1>{id}</h1>
      <div className="banner" role="status">
        <h2>Submitted</h2>
        <p>Kafka has acknowledged the command. A worker accepts it in a moment, and this page follows by itself.</p>
      </div>
    </div>
  );
}
