// Backtests side by side: growth from 1, what their specs differ in, statistics with the best of each line marked.
import { useMemo, useState } from "react";
import { url, type BacktestRow, type Comparison, type Page } from "../api/client";
import { useResource } from "../api/resource";
import { CurvesChart, type Curve } from "../charts/CurvesChart";
import { Key } from "../charts/frame";
import { Empty, Failure, Loading, Panel, Segments, Status } from "../components/basics";
import { grouped, labelOf, shown, type StatisticValue } from "../format/statistics";
import { percent } from "../format/numbers";
import { address, backtestAddress, go } from "../routes";
import { useReconnected } from "../live/stream";

const MOST = 12;
/** Statistics of which less is better; of the ones in neither list no run is called the best. */
const LESS_IS_BETTER = new Set(["volatility", "annual_variance", "downside_deviation", "longest_drawdown_days", "commission"]);
const MORE_IS_BETTER = new Set(["final_equity", "total_return", "cagr", "max_drawdown", "sharpe", "sortino", "calmar", "sqn", "win_rate", "profit_factor", "expectancy", "realized_pnl", "average_trade_return", "worst_trade"]);

export default function ComparePage({ ids }: { ids: string[] }) {
  const comparison = useResource<Comparison>(ids.length > 0 ? url("/api/compare", { ids, points: 800 }) : null, { keep: true });
  useReconnected(comparison.reload);
  const [scale, setScale] = useState<"linear" | "log">("linear");
  const [what, setWhat] = useState<"growth" | "drawdown">("growth");
  const data = ids.length > 0 ? comparison.value : undefined;
  const curves = useMemo<Curve[]>(() => (data?.runs ?? []).map((run, index) => ({ name: run.backtest_id, colour: index, times: run.time_ms, values: what === "growth" ? run.growth : run.drawdown })), [data, what]);
  const set = (next: string[]): void => go(address("/compare", { ids: next.join(",") }));
  return (
    <div className="page">
      <div className="page-head">
        <h1>Compare</h1>
        <div className="end">
          <Picker ids={ids} onPick={(id) => set([...ids, id])} />
        </div>
      </div>
      {comparison.error ? <Failure error={comparison.error} retry={comparison.reload} /> : null}
      {ids.length === 0 ? (
        <Empty title="Nothing to compare yet" action={<a className="button" href="#/">Choose among all backtests</a>}>
          Select backtests in the list and press Compare, or add one by its id above.
        </Empty>
      ) : !data && !comparison.error ? (
        <Loading what="the comparison" />
      ) : data ? (
        <>
          <div className="row">
            {data.runs.map((run, index) => (
              <span key={run.backtest_id} className="tag row">
                <Key colour={`var(--series-${(index % 8) + 1})`}>
                  <a href={backtestAddress(run.backtest_id)}>{run.backtest_id}</a>
                </Key>
                <button type="button" className="plain small" aria-label={`Leave ${run.backtest_id} out`} onClick={() => set(ids.filter((id) => id !== run.backtest_id))}>
                  ✕
                </button>
              </span>
            ))}
          </div>
          <Panel
            title={what === "growth" ? "Growth of 1" : "Drawdown"}
            actions={
              <>
                <Segments label="What is drawn" choices={[{ value: "growth", label: "Growth" }, { value: "drawdown", label: "Drawdown" }]} value={what} onChange={setWhat} />
                <Segments label="Scale" choices={[{ value: "linear", label: "Linear" }, { value: "log", label: "Log" }]} value={scale} onChange={setScale} />
              </>
            }
          >
            <CurvesChart curves={curves} kind={what === "growth" ? "ratio" : "percent"} days={true} logarithmic={scale === "log" && what === "growth"} description={`${what === "growth" ? "Growth" : "Drawdown"} of ${data.runs.map((run) => run.backtest_id).join(", ")}`} size="chart-h-360" />
          </Panel>
          <Differences data={data} />
          <Statistics data={data} />
        </>
      ) : null}
    </div>
  );
}

function Heading({ data }: { data: Comparison }) {
  return (
    <thead>
      <tr>
        <th scope="col"><span className="visually-hidden">Line</span></th>
        {data.runs.map((run) => (
          <th key={run.backtest_id} scope="col" className="right">
            <span><a href={backtestAddress(run.backtest_id)}>{run.backtest_id}</a></span>
          </th>
        ))}
      </tr>
    </thead>
  );
}

function Differences({ data }: { data: Comparison }) {
  if (data.runs.length < 2) return null;
  return (
    <Panel flush title="What was asked for differently">
      {data.differences.length === 0 ? (
        <Empty title="Their specs are the same">Equal specs on equal data give equal results, byte for byte.</Empty>
      ) : (
        <div className="table-frame whole" tabIndex={0} role="region" aria-label="Differences of the specs">
          <table className="table">
            <Heading data={data} />
            <tbody>
              {data.differences.map((difference) => (
                <tr key={difference.path}>
                  <td><code>{difference.path}</code></td>
                  {difference.values.map((value, index) => (
                    <td key={index} className="right">
                      {value === null ? <span className="muted">–</span> : <code>{typeof value === "string" ? value : JSON.stringify(value)}</code>}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function Statistics({ data }: { data: Comparison }) {
  const all: Record<string, StatisticValue> = Object.assign({}, ...data.runs.map((run) => run.statistics));
  const groups = grouped(all);
  return (
    <Panel flush title="Statistics">
      <div className="table-frame whole" tabIndex={0} role="region" aria-label="Statistics side by side">
        <table className="table">
          <Heading data={data} />
          <tbody>
            <tr>
              <td className="muted">Status</td>
              {data.runs.map((run) => (
                <td key={run.backtest_id} className="right"><Status status={run.status} /></td>
              ))}
            </tr>
            {groups.flatMap(([title, names]) => [
              <tr key={title}>
                <th scope="colgroup" colSpan={data.runs.length + 1}><span>{title}</span></th>
              </tr>,
              ...names.map((name) => <Line key={name} name={name} values={data.runs.map((run) => run.statistics[name])} />),
            ])}
          </tbody>
        </table>
      </div>
      <p className="table-note">
        <span>▲ the best of a line. Money is in each account's own currency.</span>
      </p>
    </Panel>
  );
}

function Line({ name, values }: { name: string; values: (StatisticValue | undefined)[] }) {
  const numbers = values.filter((value): value is number => typeof value === "number");
  const best = numbers.length < 2 || new Set(numbers).size < 2 ? null : LESS_IS_BETTER.has(name) ? Math.min(...numbers) : MORE_IS_BETTER.has(name) ? Math.max(...numbers) : null;
  return (
    <tr>
      <td className="muted">{labelOf(name)}</td>
      {values.map((value, index) => (
        <td key={index} className="right">
          {value === best && best !== null ? <b className="gain">▲ {shown(name, value, null)}</b> : shown(name, value, null)}
        </td>
      ))}
    </tr>
  );
}

function Picker({ ids, onPick }: { ids: string[]; onPick: (id: string) => void }) {
  const [text, setText] = useState("");
  const found = useResource<Page<BacktestRow>>(url("/api/backtests", { q: text.trim(), status: "completed", limit: 20 }), { keep: true });
  const choices = (found.value?.items ?? []).filter((row) => !ids.includes(row.backtest_id));
  const add = (value: string): void => {
    if (!choices.some((row) => row.backtest_id === value)) return setText(value);
    setText("");
    onPick(value);
  };
  return (
    <span style={{ width: 280 }}>
      <input list="comparable" aria-label="Add a backtest" placeholder={ids.length >= MOST ? `At most ${MOST} at once` : "Add a backtest"} disabled={ids.length >= MOST} value={text} onChange={(event) => add(event.target.value)} />
      <datalist id="comparable">
        {choices.map((row) => (
          <option key={row.backtest_id} value={row.backtest_id}>
            {`${row.strategy ?? ""} ${row.symbols.slice(0, 3).join(" ")} ${row.total_return === null ? "" : percent(row.total_return)}`}
          </option>
        ))}
      </datalist>
    </span>
  );
}
