// The top of a backtest's page: its name, state and proof, and what one can do with it.
import { useState } from "react";
import { backtestPath, isOver, send, taskPath, url, type Audit, type BacktestResult } from "../../api/client";
import type { components } from "../../api/schema";
import { Badge, Dialog, Status, useNow, When } from "../../components/basics";
import { complain, say } from "../../components/toasts";
import { count, format, percent } from "../../format/numbers";
import { duration, local, spansDays, market } from "../../format/times";
import { useMay } from "../../me";
import { address } from "../../routes";

interface Properties {
  run: BacktestResult;
  status: components["schemas"]["TaskStatus"];
  refresh: () => void;
}

export function Head({ run, status, refresh }: Properties) {
  const [isCancelling, setCancelling] = useState(false);
  const mayCancel = useMay("cancel");
  const maySubmit = useMay("submit");
  const over = isOver(run.status);
  const id = run.backtest_id;
  return (
    <>
      <div className="stack">
        <div className="page-head">
          <h1>{id}</h1>
          <Status status={run.status} />
          {run.origin === "imported" ? <Badge title="Another system's result, brought in: nobody here can run it again">Imported</Badge> : null}
          <AuditBadge audit={run.audit} />
          <div className="end">
            {!over && mayCancel ? (
              <button type="button" className="danger" onClick={() => setCancelling(true)}>
                Cancel
              </button>
            ) : null}
            {over ? <AuditButton id={id} audit={run.audit} refresh={refresh} /> : null}
            {run.status === "completed" ? (
              <a className="button" href={backtestPath(id, "/report")} target="_blank" rel="noreferrer">
                Report
              </a>
            ) : null}
            <a className="button" href={address("/compare", { ids: id })}>
              Compare
            </a>
            {maySubmit && run.origin !== "imported" ? (
              <a className="button" href={address("/new", { from: id })}>
                Run a variant
              </a>
            ) : null}
          </div>
        </div>
        <p className="muted row dots">
          <span>
            {run.strategy ?? "imported"} on {run.symbols.join(" ")}
          </span>
          {run.timeframe ? <span>{run.timeframe} bars</span> : null}
          {run.first_bar && run.last_bar ? (
            <span className="number">
              {market(new Date(run.first_bar), spansDays(run.timeframe))} to {market(new Date(run.last_bar), spansDays(run.timeframe))}
            </span>
          ) : null}
          <span>
            {run.dataset}
            {run.dataset_version ? ` version ${run.dataset_version}` : ""}
          </span>
          <span>
            accepted <When at={run.accepted_at} relative />
            {run.submitter ? ` by ${run.submitter}` : ""}
          </span>
          {run.tags.map((tag) => (
            <span key={tag} className="tag">
              {tag}
            </span>
          ))}
        </p>
      </div>
      {run.status === "running" || run.status === "queued" ? <Progress run={run} queuePosition={status.queue_position} /> : null}
      {run.origin === "imported" ? (
        <div className="banner">
          <h2>Another system's result</h2>
          <p>It was brought in as it is and can't be proven. Its trades, orders, fills and equity are in its Parquet files, not on this page.</p>
        </div>
      ) : null}
      {run.quarantine_reason ? (
        <div className="banner warn">
          <h2>These rows stand still at event {count(run.last_sequence)}</h2>
          <p>{run.quarantine_reason}</p>
        </div>
      ) : null}
      {run.status === "failed" ? (
        <div className="banner bad">
          <h2>It failed: {(run.failure_reason ?? "").replaceAll("_", " ")}</h2>
          <p>{run.failure_detail}</p>
        </div>
      ) : null}
      {run.status === "cancelled" ? (
        <div className="banner">
          <h2>It was cancelled{run.bars ? ` after ${percent(run.bars_done / run.bars)} of its bars` : " before it began"}</h2>
          <p>{run.cancel_reason || "No reason was given."}</p>
        </div>
      ) : null}
      {isCancelling ? <CancelDialog id={id} onClose={() => setCancelling(false)} refresh={refresh} /> : null}
    </>
  );
}

function Progress({ run, queuePosition }: { run: BacktestResult; queuePosition: number | null }) {
  const now = useNow(1_000);
  if (run.status === "queued") {
    return (
      <div className="banner" role="status">
        <h2>Queued{queuePosition ? `, number ${count(queuePosition)} of its partition` : ""}</h2>
        <p>It starts as soon as a worker is free.</p>
      </div>
    );
  }
  const share = run.bars ? run.bars_done / run.bars : 0;
  const seconds = run.started_at ? (now.getTime() - Date.parse(run.started_at)) / 1000 : 0;
  const left = share > 0.02 ? (seconds / share) * (1 - share) : null;
  return (
    <div className="stack" style={{ gap: 4 }}>
      <progress value={share} max={1} aria-label="Progress" />
      <p className="row muted small number" style={{ justifyContent: "space-between" }}>
        <span>
          {count(run.bars_done)} of {run.bars ? count(run.bars) : "?"} bars, {percent(share)}
        </span>
        <span>
          equity {format("money", run.equity)} {run.currency}
        </span>
        <span>
          {duration(seconds)} so far{left === null ? "" : `, about ${duration(left)} left`}
        </span>
      </p>
    </div>
  );
}

export function AuditBadge({ audit }: { audit: Audit | null }) {
  if (!audit || audit.state === "none") return null;
  if (audit.state === "queued" || audit.state === "running") return <Badge tone="warn">Audit {audit.state}</Badge>;
  if (audit.state === "failed") return <Badge tone="warn" title={audit.detail}>Audit came to no answer</Badge>;
  const at = audit.finished_at ? local(new Date(audit.finished_at), false) : "";
  if (audit.verdict === "proven") return <Badge tone="good" title="Run again, and every commit, row and file was found the same">✓ Proven at {at}</Badge>;
  if (audit.verdict === "different") return <Badge tone="bad" title={audit.detail}>✗ Not proven at {at}</Badge>;
  return <Badge tone="warn" title={audit.detail}>Not tried in full, {at}</Badge>;
}

export function AuditButton({ id, audit, refresh }: { id: string; audit: Audit | null; refresh: () => void }) {
  const [isSending, setSending] = useState(false);
  const isUnderWay = audit?.state === "queued" || audit?.state === "running";
  const start = async (): Promise<void> => {
    setSending(true);
    try {
      await send("POST", backtestPath(id, "/audit"));
      say("The audit runs the backtest again and compares every commit");
      refresh();
    } catch (error) {
      complain(error);
    } finally {
      setSending(false);
    }
  };
  return (
    <button type="button" disabled={isSending || isUnderWay} onClick={() => void start()}>
      {isUnderWay ? "Audit is running" : audit?.verdict ? "Audit again" : "Audit"}
    </button>
  );
}

function CancelDialog({ id, onClose, refresh }: { id: string; onClose: () => void; refresh: () => void }) {
  const [reason, setReason] = useState("");
  const cancel = async (): Promise<void> => {
    try {
      await send("DELETE", url(taskPath(id), { reason }));
      say("Asked to cancel: the run ends at the last event that is recorded");
    } catch (error) {
      complain(error);
    }
    refresh();
    onClose();
  };
  return (
    <Dialog title={`Cancel ${id}?`} onClose={onClose}>
      <div className="stack">
        <p>What it has recorded so far stays. A cancelled backtest can't be continued.</p>
        <div className="field">
          <label htmlFor="cancel-reason">Reason</label>
          <input id="cancel-reason" value={reason} maxLength={200} onChange={(event) => setReason(event.target.value)} />
        </div>
      </div>
      <div className="row end">
        <button type="button" onClick={onClose}>
          Keep running
        </button>
        <button type="button" className="danger" onClick={() => void cancel()}>
          Cancel the backtest
        </button>
      </div>
    </Dialog>
  );
}

