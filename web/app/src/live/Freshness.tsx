// Says whether what is shown is what is so: the stream's state, and how far the read model is behind the log.
import { useState, useSyncExternalStore } from "react";
import { useNow } from "../components/basics";
import { count } from "../format/numbers";
import { duration } from "../format/times";
import { useConnection, useLive } from "./stream";

export interface Lag {
  is_stale: boolean;
  lag_records: number | null;
  lag_seconds: number | null;
}

let lag: Lag | null = null;
const watchers = new Set<() => void>();

export function noteLag(next: Lag): void {
  lag = next;
  watchers.forEach((watcher) => watcher());
}

export function useLag(): Lag | null {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => lag,
  );
}

const PATIENCE_SECONDS = 4; // a stream that is opened anew is no news

export function Freshness() {
  useLive({ changes: false, followed: [] }, ({ type, data }) => {
    if (type === "lag") noteLag(data as Lag);
  });
  const { state, since } = useConnection();
  const known = useLag();
  const now = useNow(1_000);
  const broken = state !== "open" && now.getTime() - since > PATIENCE_SECONDS * 1000;
  if (broken) return <span className="live offline">Offline {duration((now.getTime() - since) / 1000)}</span>;
  if (known?.is_stale) return <span className="live stale">{behind(known)}</span>;
  return (
    <span className="live" title={known ? `the read model is ${count(known.lag_records ?? 0)} records behind the log` : undefined}>
      Live
    </span>
  );
}

const behind = ({ lag_seconds }: Lag): string => (lag_seconds === null ? "Behind the log" : `${duration(lag_seconds)} behind`);

export function StaleBanner() {
  const known = useLag();
  const { state, since } = useConnection();
  const now = useNow(1_000);
  const [closedAt, setClosedAt] = useState(0);
  const broken = state !== "open" && now.getTime() - since > PATIENCE_SECONDS * 1000;
  if (!broken && !known?.is_stale) return null;
  if (closedAt > since && broken) return null;
  return (
    <div className="banner warn" role="status" style={{ marginBottom: 16 }}>
      {broken ? (
        <>
          <h2>The connection to the server is gone</h2>
          <p>What you see is as of {duration((now.getTime() - since) / 1000)} ago. The page connects again by itself.</p>
          <div className="row">
            <button type="button" onClick={() => setClosedAt(now.getTime())}>
              Close
            </button>
          </div>
        </>
      ) : (
        <>
          <h2>These numbers are not up to date</h2>
          <p>
            The read model is behind the log{known?.lag_records ? ` by ${count(known.lag_records)} records` : ""}
            {known?.lag_seconds ? `, ${duration(known.lag_seconds)}` : ""}. Backtests go on and nothing is lost: rows appear when the projector has caught up.{" "}
            <a href="#/system">What the system says</a>
          </p>
        </>
      )}
    </div>
  );
}
