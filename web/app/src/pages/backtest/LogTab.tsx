// The log itself, event by event, and what stood after any of them: cash, positions and working orders are folded up to there.
import { useEffect, useMemo, useRef, useState } from "react";
import { backtestPath, url, type EventPage, type LogEvent, type Replay } from "../../api/client";
import { useResource } from "../../api/resource";
import { Empty, Failure, Figure, Loading, MarketTime, Panel } from "../../components/basics";
import { DataTable, type Column } from "../../components/DataTable";
import { count, format } from "../../format/numbers";
import { spansDays } from "../../format/times";
import { type TabProperties } from "../BacktestPage";
import { Exports } from "./PositionsTab";

const SHOWN = 200; // events around the chosen one
const SETTLE_MILLISECONDS = 120;
const TYPES = ["OrderSubmitted", "OrderRejected", "OrderModified", "OrderTriggered", "OrderCancelled", "OrderExpired", "OrderFilled", "PositionOpened", "PositionChanged", "PositionClosed", "EquityMarked", "BacktestProgressed"];

export function LogTab({ run }: TabProperties) {
  const last = run.last_sequence;
  const [sequence, setSequence] = useState(last);
  const [type, setType] = useState("");
  const settled = useSettled(sequence);
  const replay = useResource<Replay>(url(backtestPath(run.backtest_id, "/replay"), { to: settled }), { keep: true });
  const from = Math.max(1, settled - SHOWN / 2);
  const events = useResource<EventPage>(url(backtestPath(run.backtest_id, "/events"), { from: type ? settled : from, limit: SHOWN, type: type || null }), { keep: true });
  const days = spansDays(run.timeframe);
  const columns = useMemo(() => columnsOf(days, setSequence), [days]);
  return (
    <>
      <Panel
        title="As it stood after an event"
        actions={
          <span className="number muted">
            event {count(sequence)} of {count(last)}
          </span>
        }
      >
        <div className="stack">
          <div className="row" style={{ flexWrap: "nowrap" }}>
            <button type="button" aria-label="One event back" disabled={sequence <= 1} onClick={() => setSequence(sequence - 1)}>
              ←
            </button>
            <input type="range" aria-label="Event" aria-valuetext={`event ${sequence} of ${last}`} min={1} max={last} value={sequence} onChange={(event) => setSequence(Number(event.target.value))} />
            <button type="button" aria-label="One event on" disabled={sequence >= last} onClick={() => setSequence(sequence + 1)}>
              →
            </button>
          </div>
          {replay.error ? <Failure error={replay.error} retry={replay.reload} /> : null}
          {!replay.value && !replay.error ? <Loading what="the state" /> : null}
          {replay.value ? <State replay={replay.value} currency={run.currency ?? ""} days={days} /> : null}
        </div>
      </Panel>
      <Panel
        flush
        title="Events"
        actions={
          <>
            <span style={{ width: 180 }}>
              <select aria-label="Type of event" value={type} onChange={(event) => setType(event.target.value)}>
                <option value="">All types</option>
                {TYPES.map((each) => (
                  <option key={each}>{each}</option>
                ))}
              </select>
            </span>
            <Exports id={run.backtest_id} table="events" />
          </>
        }
      >
        {events.error ? <Failure error={events.error} retry={events.reload} /> : events.value ? null : <Loading what="events" />}
        {events.value ? (
          <DataTable label="Events" columns={columns} rows={events.value.items} rowKey={(row) => row.sequence} selected={new Set([String(settled)])} reveal={String(settled)} onOpen={(row) => setSequence(row.sequence)} empty={<Empty title="No event of this type from here on">Move the slider to the left.</Empty>} />
        ) : null}
      </Panel>
    </>
  );
}

function State({ replay, currency, days }: { replay: Replay; currency: string; days: boolean }) {
  return (
    <>
      <dl className="headlines">
        <div>
          <dt>Market time</dt>
          <dd><MarketTime at={replay.time} days={days} /></dd>
        </div>
        <div>
          <dt>Cash</dt>
          <dd><Figure kind="money" value={replay.cash} /> <small>{currency}</small></dd>
        </div>
        <div>
          <dt>Equity</dt>
          <dd><Figure kind="money" value={replay.equity} /> <small>{currency}</small></dd>
        </div>
        <div>
          <dt>Event</dt>
          <dd>{String(replay.event?.["type"] ?? "–")}</dd>
        </div>
      </dl>
      <div className="grid-2">
        <section className="stack">
          <h3>Positions: {count(replay.positions.length)}</h3>
          {replay.positions.length === 0 ? <p className="muted">Nothing was held.</p> : (
            <div className="scroll-x" tabIndex={0} role="region" aria-label="Positions at this event">
              <table className="table">
                <thead><tr><th scope="col"><span>Symbol</span></th><th scope="col" className="right"><span>Quantity</span></th><th scope="col" className="right"><span>Average</span></th><th scope="col" className="right"><span>Last price</span></th><th scope="col" className="right"><span>Unrealised <span className="unit">{currency}</span></span></th><th scope="col" className="right"><span>Realised <span className="unit">{currency}</span></span></th></tr></thead>
                <tbody>
                  {replay.positions.map((position) => (
                    <tr key={position.position_id}>
                      <td>{position.symbol}</td>
                      <td className="right"><Figure kind="quantity" value={position.quantity} /></td>
                      <td className="right"><Figure kind="price" value={position.average_price} /></td>
                      <td className="right"><Figure kind="price" value={position.last_price} /></td>
                      <td className="right"><Figure kind="money" value={position.unrealized_pnl} signed /></td>
                      <td className="right"><Figure kind="money" value={position.realized_pnl} signed /></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </section>
        <section className="stack">
          <h3>Working orders: {count(replay.working_orders.length)}</h3>
          {replay.working_orders.length === 0 ? <p className="muted">No order was working.</p> : (
            <div className="scroll-x" tabIndex={0} role="region" aria-label="Working orders at this event">
              <table className="table">
                <thead><tr><th scope="col"><span>Order</span></th><th scope="col"><span>What</span></th><th scope="col" className="right"><span>Quantity</span></th><th scope="col" className="right"><span>Price</span></th></tr></thead>
                <tbody>
                  {replay.working_orders.map((order) => (
                    <tr key={order.order_id}>
                      <td className="number">{order.order_id}</td>
                      <td>{order.side} {order.symbol}, {order.order_type.replaceAll("_", " ")}</td>
                      <td className="right"><Figure kind="quantity" value={order.quantity} /></td>
                      <td className="right"><Figure kind="price" value={order.stop_price ?? order.limit_price} /></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </section>
      </div>
    </>
  );
}

function columnsOf(days: boolean, choose: (sequence: number) => void): Column<LogEvent>[] {
  return [
    { id: "sequence", header: "#", right: true, width: 80, cell: (row) => <button type="button" className="plain number" aria-label={`Show what stood after event ${row.sequence}`} onClick={() => choose(row.sequence)}>{count(row.sequence)}</button> },
    { id: "time", header: "Market time", right: true, width: 150, cell: (row) => <MarketTime at={row.time} days={days} /> },
    { id: "type", header: "Event", width: 170, cell: (row) => row.type },
    { id: "commit", header: "Commit", right: true, width: 80, cell: (row) => count(row.commit) },
    { id: "data", header: "What it says", cell: (row) => <span className="mono" title={JSON.stringify(row.data)}>{inWords(row.data)}</span> },
  ];
}

const LONG = 160; // characters of an event in its line

function inWords(data: Record<string, unknown>): string {
  const text = Object.entries(data)
    .map(([name, value]) => `${name} ${typeof value === "number" ? format("quantity", value) : Array.isArray(value) ? `[${value.length}]` : typeof value === "object" && value !== null ? "{…}" : String(value)}`)
    .join(", ");
  return text.length > LONG ? `${text.slice(0, LONG)}…` : text;
}

/** The value, once it has not moved for a moment: a slider moves through hundreds. */
function useSettled(value: number): number {
  const [settled, setSettled] = useState(value);
  const isFirst = useRef(true);
  useEffect(() => {
    if (isFirst.current) {
      isFirst.current = false;
      return;
    }
    const timer = setTimeout(() => setSettled(value), SETTLE_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
