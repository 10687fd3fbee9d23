// The bars of one symbol, with what the run did in them.
import { useCallback, useEffect, useState } from "react";
import { backtestPath, url, type Candles } from "../../api/client";
import { useResource } from "../../api/resource";
import { CandleChart, type Span } from "../../charts/CandleChart";
import { Empty, Failure, Loading, Panel, Segments } from "../../components/basics";
import { spansDays } from "../../format/times";
import { useVersion, type TabProperties } from "../BacktestPage";

const WIDER = 1; // of what is seen, on each side: so that a small step needs no new bars

export function MarketTab({ run, version, parameters }: TabProperties & { parameters: URLSearchParams }) {
  const [symbol, setSymbol] = useState(parameters.get("symbol") ?? run.symbols[0] ?? "");
  const [span, setSpan] = useState<Span | null>(() => spanOf(parameters));
  const [view, setView] = useState<Span | null>(() => spanOf(parameters));
  const [showStops, setShowStops] = useState(true);
  const [scale, setScale] = useState<"linear" | "log">("linear");
  const address = url(backtestPath(run.backtest_id, "/candles"), {
    symbol,
    points: 1000,
    start: span ? new Date(span.from).toISOString() : null,
    end: span ? new Date(span.to).toISOString() : null,
  });
  const hasStarted = run.bars !== null;
  const candles = useResource<Candles>(hasStarted ? address : null, { keep: true, apart: 3_000 });
  useVersion(version, candles.reload);
  useEffect(() => {
    setSpan(spanOf(parameters));
    setView(spanOf(parameters));
  }, [parameters]);
  const look = useCallback((next: Span) => {
    const room = (next.to - next.from) * WIDER;
    setView(next);
    setSpan({ from: Math.round(next.from - room), to: Math.round(next.to + room) });
  }, []);
  const whole = (): void => {
    setView(null);
    setSpan(null);
  };
  const zoom = (factor: number): void => {
    const data = candles.value;
    const now = view ?? (data?.first_ms && data.last_ms ? { from: data.first_ms, to: data.last_ms } : null);
    if (!now) return;
    const half = ((now.to - now.from) / 2) * factor;
    const middle = (now.from + now.to) / 2;
    look({ from: middle - half, to: middle + half });
  };
  if (!hasStarted) return <Empty title="No bars yet">The bars appear when the run has started.</Empty>;
  return (
    <Panel
      title="Bars, fills and trades"
      actions={
        <>
          <label className="check">
            <input type="checkbox" checked={showStops} onChange={(event) => setShowStops(event.target.checked)} />
            Stops and limits
          </label>
          {run.symbols.length > 1 ? (
            <span style={{ width: 140 }}>
              <select aria-label="Symbol" value={symbol} onChange={(event) => setSymbol(event.target.value)}>
                {run.symbols.map((each) => (
                  <option key={each}>{each}</option>
                ))}
              </select>
            </span>
          ) : null}
          <Segments label="Scale" choices={[{ value: "linear", label: "Linear" }, { value: "log", label: "Log" }]} value={scale} onChange={setScale} />
          <div className="segments" role="group" aria-label="Zoom">
            <button type="button" aria-label="Zoom in" onClick={() => zoom(0.4)}>
              +
            </button>
            <button type="button" aria-label="Zoom out" onClick={() => zoom(2.5)}>
              −
            </button>
            <button type="button" onClick={whole}>
              Whole run
            </button>
          </div>
        </>
      }
    >
      {candles.error ? <Failure error={candles.error} retry={candles.reload} /> : null}
      {!candles.value && !candles.error ? <Loading what="bars" /> : null}
      {candles.value ? <CandleChart data={candles.value} days={spansDays(run.timeframe)} view={view} onLook={look} showStops={showStops} logarithmic={scale === "log"} /> : null}
    </Panel>
  );
}

function spanOf(parameters: URLSearchParams): Span | null {
  const [from, to] = [Number(parameters.get("from")), Number(parameters.get("to"))];
  return from > 0 && to >= from ? { from, to } : null;
}
