// Asks for a backtest: data, strategy, account, rules of execution. The server checks the spec as it is written.
import { useCallback, useEffect, useId, useMemo, useState } from "react";
import { backtestPath, send, type BacktestResult, type DataSet, type DataSetSummary, type Preset, type RunAccepted, type Strategy, type Validation } from "../api/client";
import { Problem, type FieldProblem } from "../api/problem";
import { useResource } from "../api/resource";
import { CopyButton, Empty, Failure, Loading, Panel, Segments } from "../components/basics";
import { complain, say } from "../components/toasts";
import { count } from "../format/numbers";
import { utcDay } from "../format/times";
import { useMay } from "../me";
import { backtestAddress, go } from "../routes";
import { copied, FORMS, type Form } from "../spec/copies";
import { at, defaultsOf, put, without, type Document, type Schema } from "../spec/schema";
import { problemsAt, Problems, SchemaFields, type Editing } from "../spec/SchemaFields";
import { drop, keep, templates } from "../spec/templates";
import { labelOf, POLICIES, PRESETS } from "../spec/words";

const EMPTY: Document = { data: { symbols: [] }, strategy: {} };

export default function NewPage({ parameters }: { parameters: URLSearchParams }) {
  const strategies = useResource<{ items: Strategy[] }>("/api/strategies");
  const datasets = useResource<{ items: DataSetSummary[] }>("/api/datasets");
  const presets = useResource<{ items: Preset[] }>("/api/presets");
  const schema = useResource<Schema>("/api/spec/schema");
  const from = parameters.get("from");
  const origin = useResource<BacktestResult>(from ? backtestPath(from) : null);
  const maySubmit = useMay("submit");
  const failed = [strategies, datasets, presets, schema].find((each) => each.error);
  if (failed) return <Failure error={failed.error} retry={failed.reload} />;
  if (!strategies.value || !datasets.value || !presets.value || !schema.value || (from && !origin.value && !origin.error)) return <Loading what="the form" />;
  if (!maySubmit) return <Empty isPage title="You may look, not submit">Your key lacks the scope <code>submit</code>.</Empty>;
  if (datasets.value.items.length === 0) {
    return (
      <Empty isPage title="There is no data yet" action={<a className="button primary" href="#/system?tab=data">Bring in data</a>}>
        A backtest reads an immutable version of a data set. Upload files on the page System, or use <code>backtape data import</code>.
      </Empty>
    );
  }
  const start = origin.value?.spec ? without(origin.value.spec, standardOf(origin.value.spec, schema.value, strategies.value.items, presets.value.items)) : first(datasets.value.items, strategies.value.items);
  return <Form key={from ?? ""} start={start} from={origin.value ? from : null} strategies={strategies.value.items} datasets={datasets.value.items} presets={presets.value.items} schema={schema.value} />;
}

/** A form that could be sent as it is: the first data set, its first symbol, a strategy. */
function first(datasets: DataSetSummary[], strategies: Strategy[]): Document {
  const data = datasets[0];
  const strategy = strategies.find(({ name }) => name === "sma_cross") ?? strategies[0];
  if (!data || !strategy) return EMPTY;
  return { data: { dataset: data.dataset, symbols: data.symbols.slice(0, 1), timeframe: data.timeframes[0] }, strategy: { name: strategy.name } };
}

/** What a spec needs not say: the schema's defaults, its strategy's, and what its preset decides. */
function standardOf(spec: Document, schema: Schema, strategies: Strategy[], presets: Preset[]): Document {
  const whole = defaultsOf(schema);
  const parameters = strategies.find(({ name }) => name === at(spec, ["strategy", "name"]))?.parameters as Schema | undefined;
  const preset = presets.find(({ name }) => name === at(spec, ["execution", "preset"]));
  return {
    ...whole,
    strategy: { parameters: parameters ? defaultsOf(parameters) : {} },
    execution: { ...(whole["execution"] as Document), ...preset?.policies },
  };
}

const DATA_FIELDS = ["dataset", "symbols", "timeframe", "start", "end"]; // that have a field of their own kind

interface FormProperties {
  start: Document;
  from: string | null;
  strategies: Strategy[];
  datasets: DataSetSummary[];
  presets: Preset[];
  schema: Schema;
}

function Form({ start, from, strategies, datasets, presets, schema }: FormProperties) {
  const [spec, setSpec] = useState(start);
  const [id, setId] = useState("");
  const [isSending, setSending] = useState(false);
  const { validation, problems, error } = useValidation(spec);
  const preset = presets.find(({ name }) => name === at(spec, ["execution", "preset"]));
  const strategy = strategies.find(({ name }) => name === at(spec, ["strategy", "name"]));
  const change = useCallback((path: readonly string[], value: unknown) => setSpec((before) => put(before, path, value)), []);
  const symbols = datasets.find(({ dataset }) => dataset === at(spec, ["data", "dataset"]))?.symbols;
  const choices: Editing["choices"] = (path) => (path.join(".") === "statistics.benchmark" ? symbols : undefined);
  const editing: Editing = { document: spec, problems, change, choices, standard: ([group, name]) => (group === "execution" && name !== undefined ? preset?.policies[name] : undefined) };
  const part = (name: string): Schema => {
    const reference = schema.properties?.[name]?.$ref?.replace("#/$defs/", "") ?? "";
    return schema.$defs?.[reference] ?? {};
  };
  const submit = async (): Promise<void> => {
    setSending(true);
    try {
      const body = { spec, ...(id ? { backtest_id: id } : {}) };
      const accepted = await send<RunAccepted>("POST", "/api/backtests/run-async", body, { "Idempotency-Key": crypto.randomUUID() });
      go(backtestAddress(accepted.backtest_id));
    } catch (problem) {
      complain(problem);
      setSending(false);
    }
  };
  const others = Object.keys(schema.properties ?? {}).filter((name) => !["data", "strategy", "account", "execution", "statistics"].includes(name));
  return (
    <div className="page">
      <div className="page-head">
        <h1>{from ? `A variant of ${from}` : "New backtest"}</h1>
        <div className="end">
          <Templates spec={spec} onTake={setSpec} />
        </div>
      </div>
      <form
        className="side"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <div className="page">
          <Panel title="Data">
            <div className="stack">
              <DataFields spec={spec} change={change} problems={problems} datasets={datasets} />
              <SchemaFields schema={part("statistics")} root={schema} path={["statistics"]} editing={editing} only={["benchmark"]} />
              <details>
                <summary>More about the data</summary>
                <SchemaFields schema={part("data")} root={schema} path={["data"]} editing={editing} except={DATA_FIELDS} />
              </details>
            </div>
          </Panel>
          <Panel title="Strategy">
            <div className="stack">
              <StrategyPicker strategies={strategies} value={strategy?.name ?? ""} onChange={(name) => setSpec((before) => put(before, ["strategy"], { name }))} />
              {strategy ? <p className="muted">{strategy.summary}</p> : null}
              {strategy ? <SchemaFields key={strategy.name} schema={strategy.parameters as Schema} path={["strategy", "parameters"]} editing={editing} /> : null}
              <Rest problems={problemsAt(problems, ["strategy", "parameters"])} schema={strategy?.parameters as Schema | undefined} />
            </div>
          </Panel>
          <Panel title="Account">
            <SchemaFields schema={part("account")} root={schema} path={["account"]} editing={editing} />
          </Panel>
          <Panel title="Execution">
            <div className="page">
              <PresetPicker presets={presets} value={preset?.name ?? ""} onChange={(name) => change(["execution", "preset"], name || undefined)} />
              <SchemaFields schema={part("execution")} root={schema} path={["execution"]} editing={editing} only={["slippage", "commission"]} />
              <details>
                <summary>All rules of execution, one by one</summary>
                <SchemaFields schema={part("execution")} root={schema} path={["execution"]} editing={editing} except={["preset", "slippage", "commission"]} />
              </details>
            </div>
          </Panel>
          <Panel title="More">
            <details>
              <summary>Statistics, recording, limits, seed, tags</summary>
              <fieldset>
                <legend>Statistics</legend>
                <SchemaFields schema={part("statistics")} root={schema} path={["statistics"]} editing={editing} except={["benchmark"]} />
              </fieldset>
              <SchemaFields schema={schema} path={[]} editing={editing} only={others.filter((name) => name !== "tags")} />
            </details>
            <TagField spec={spec} change={change} />
          </Panel>
        </div>
        <aside className="stack sticky" aria-label="The spec">
          <div className="field">
            <label htmlFor="backtest-id">Name</label>
            <input id="backtest-id" value={id} placeholder="A new one is made" onChange={(event) => setId(event.target.value.trim())} aria-describedby="backtest-id-hint" />
            <span className="hint" id="backtest-id-hint">
              The backtest's id; the same id and spec twice runs once
            </span>
          </div>
          <button type="submit" className="primary" disabled={isSending || !validation?.is_valid}>
            {isSending ? "Submitting…" : "Run the backtest"}
          </button>
          <Verdict validation={validation} problems={problems} error={error} />
          <Copies spec={spec} id={id} command={(validation?.kafka_command as Document | null | undefined) ?? null} />
        </aside>
      </form>
    </div>
  );
}

const SETTLE_MILLISECONDS = 200;

/** What the server says of the spec, asked a moment after it has last changed. */
function useValidation(spec: Document): { validation: Validation | null; problems: readonly FieldProblem[]; error: unknown } {
  const [answer, setAnswer] = useState<{ validation: Validation | null; error: unknown }>({ validation: null, error: null });
  useEffect(() => {
    let isCurrent = true;
    const timer = setTimeout(() => {
      send<Validation>("POST", "/api/backtests/validate", { spec }).then(
        (validation) => isCurrent && setAnswer({ validation, error: null }),
        (error: unknown) => isCurrent && setAnswer({ validation: null, error }),
      );
    }, SETTLE_MILLISECONDS);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [spec]);
  return { validation: answer.validation, problems: answer.validation?.problems ?? [], error: answer.error };
}

function Verdict({ validation, problems, error }: { validation: Validation | null; problems: readonly FieldProblem[]; error: unknown }) {
  if (error) return <p className="loss" role="status">{Problem.of(error).detail || Problem.of(error).title}</p>;
  if (!validation) return <p className="muted" role="status">Checking…</p>;
  if (validation.is_valid) return <p className="gain" role="status">✓ It can run as it is</p>;
  return (
    <div className="banner bad" role="status">
      <h2>
        {count(problems.length)} {problems.length === 1 ? "field is" : "fields are"} not right
      </h2>
      <ul>
        {problems.map((problem) => (
          <li key={problem.path}>
            <code>{problem.path}</code>: {problem.allowed}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Copies({ spec, id, command }: { spec: Document; id: string; command: Document | null }) {
  const [form, setForm] = useState<Form>("json");
  const text = copied(form, spec, id, command);
  return (
    <div className="stack">
      <div className="row">
        <Segments label="Copy as" choices={FORMS} value={form} onChange={setForm} />
        <CopyButton text={text} />
      </div>
      <pre tabIndex={0} className="tall" aria-label="What is copied">
        {text}
      </pre>
    </div>
  );
}

function DataFields({ spec, change, problems, datasets }: { spec: Document; change: Editing["change"]; problems: readonly FieldProblem[]; datasets: DataSetSummary[] }) {
  const ids = { dataset: useId(), timeframe: useId(), start: useId(), end: useId() };
  const name = String(at(spec, ["data", "dataset"]) ?? "");
  const symbols = (at(spec, ["data", "symbols"]) as string[] | undefined) ?? [];
  const timeframe = String(at(spec, ["data", "timeframe"]) ?? "");
  const summary = datasets.find(({ dataset }) => dataset === name);
  const whole = useResource<DataSet>(summary ? `/api/datasets/${encodeURIComponent(name)}` : null);
  const files = whole.value?.files.filter((file) => symbols.includes(file.symbol) && file.timeframe === timeframe) ?? [];
  const bars = files.reduce((sum, file) => sum + file.bars, 0);
  const [firstDay, lastDay] = files.length > 0 ? [Math.min(...files.map((file) => file.first_ms)), Math.max(...files.map((file) => file.last_ms))] : [null, null];
  const take = (next: string): void => {
    const chosen = datasets.find(({ dataset }) => dataset === next);
    change(["data"], { dataset: next, symbols: chosen?.symbols.slice(0, 1) ?? [], timeframe: chosen?.timeframes[0] });
  };
  const toggle = (symbol: string): void => change(["data", "symbols"], symbols.includes(symbol) ? symbols.filter((each) => each !== symbol) : [...symbols, symbol]);
  const of = (field: string): readonly FieldProblem[] => problemsAt(problems, ["data", field]);
  return (
    <div className="stack">
      <div className="fields">
        <div className="field">
          <label htmlFor={ids.dataset}>Data set</label>
          <select id={ids.dataset} value={name} onChange={(event) => take(event.target.value)}>
            {summary ? null : <option value={name}>{name || "Choose one"}</option>}
            {datasets.map(({ dataset, version }) => (
              <option key={dataset} value={dataset}>
                {dataset} (version {version})
              </option>
            ))}
          </select>
          <Problems id={`${ids.dataset}-p`} problems={of("dataset")} />
        </div>
        <div className="field">
          <label htmlFor={ids.timeframe}>Bars of</label>
          <select id={ids.timeframe} value={timeframe} onChange={(event) => change(["data", "timeframe"], event.target.value)}>
            {summary?.timeframes.includes(timeframe) ? null : <option value={timeframe}>{timeframe || "Choose"}</option>}
            {summary?.timeframes.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
          <Problems id={`${ids.timeframe}-p`} problems={of("timeframe")} />
        </div>
        {(["start", "end"] as const).map((field) => (
          <div key={field} className="field">
            <label htmlFor={ids[field]}>{field === "start" ? "From" : "Until"}</label>
            <input id={ids[field]} type="date" value={String(at(spec, ["data", field]) ?? "").slice(0, 10)} onChange={(event) => change(["data", field], event.target.value || undefined)} />
            <span className="hint">{field === "start" ? (firstDay === null ? "inclusive" : `empty: ${utcDay(new Date(firstDay))}`) : lastDay === null ? "exclusive" : `exclusive; empty: to ${utcDay(new Date(lastDay))}`}</span>
            <Problems id={`${ids[field]}-p`} problems={of(field)} />
          </div>
        ))}
      </div>
      <Symbols all={summary?.symbols ?? symbols} chosen={symbols} toggle={toggle} setAll={(next) => change(["data", "symbols"], next)} />
      <Problems id="symbols-p" problems={of("symbols")} />
      {problems.filter(({ path }) => path === "spec.data").length > 0 ? <Problems id="data-p" problems={problems.filter(({ path }) => path === "spec.data")} /> : null}
      <p className="small muted number">
        {files.length > 0 ? `${count(bars)} bars of ${count(files.length)} ${files.length === 1 ? "symbol" : "symbols"}` : whole.value && symbols.length > 0 ? "This data set has no such bars of these symbols." : ""}
        {summary ? `; ${summary.adjusted ? "adjusted for splits and dividends" : "not adjusted"}` : ""}
      </p>
    </div>
  );
}

const MANY_SYMBOLS = 24;

function Symbols({ all, chosen, toggle, setAll }: { all: string[]; chosen: string[]; toggle: (symbol: string) => void; setAll: (symbols: string[]) => void }) {
  const [text, setText] = useState("");
  const shown = all.filter((symbol) => symbol.toLowerCase().includes(text.toLowerCase())).slice(0, 200);
  return (
    <fieldset>
      <legend>
        Symbols <span className="muted number">{count(chosen.length)} of {count(all.length)}</span>
      </legend>
      <div className="row">
        {all.length > MANY_SYMBOLS ? (
          <span style={{ width: 160 }}>
            <input type="search" aria-label="Find symbols" placeholder="Find" value={text} onChange={(event) => setText(event.target.value)} />
          </span>
        ) : null}
        {shown.map((symbol) => (
          <button key={symbol} type="button" className="chip" aria-pressed={chosen.includes(symbol)} onClick={() => toggle(symbol)}>
            {symbol}
          </button>
        ))}
        {all.length > 2 ? (
          <button type="button" className="plain" onClick={() => setAll(chosen.length === all.length ? all.slice(0, 1) : all)}>
            {chosen.length === all.length ? "Only the first" : "All"}
          </button>
        ) : null}
      </div>
    </fieldset>
  );
}

function StrategyPicker({ strategies, value, onChange }: { strategies: Strategy[]; value: string; onChange: (name: string) => void }) {
  const id = useId();
  return (
    <div className="fields">
      <div className="field">
        <label htmlFor={id}>Strategy</label>
        <select id={id} value={value} onChange={(event) => onChange(event.target.value)}>
          {value ? null : <option value="">Choose one</option>}
          {strategies.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </div>
    </div>
  );
}

/** Problems of parameters that the form has no field for. */
function Rest({ problems, schema }: { problems: readonly FieldProblem[]; schema: Schema | undefined }) {
  const names = Object.keys(schema?.properties ?? {});
  const rest = problems.filter(({ path }) => !names.some((name) => path.startsWith(`spec.strategy.parameters.${name}`)));
  return <Problems id="parameters-p" problems={rest} />;
}

function PresetPicker({ presets, value, onChange }: { presets: Preset[]; value: string; onChange: (name: string) => void }) {
  const id = useId();
  const preset = presets.find(({ name }) => name === value);
  return (
    <div className="stack">
      <div className="fields">
        <div className="field">
          <label htmlFor={id}>Fill orders like</label>
          <select id={id} value={value} onChange={(event) => onChange(event.target.value)} aria-describedby={`${id}-hint`}>
            <option value="">Backtape's own rules</option>
            {presets.map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </div>
      </div>
      <p className="muted" id={`${id}-hint`}>
        {preset ? PRESETS[preset.name] : "Market orders fill at the next open; stops before limits within a bar; what the account can't carry is refused."}
      </p>
      {preset ? (
        <details>
          <summary>What this preset decides</summary>
          <dl className="facts">
            {Object.entries(preset.policies).map(([name, policy]) => (
              <div key={name} style={{ display: "contents" }}>
                <dt>{labelOf(name)}</dt>
                <dd>{typeof policy === "string" ? (POLICIES[name]?.values[policy] ?? policy.replaceAll("_", " ")) : <code>{JSON.stringify(policy)}</code>}</dd>
              </div>
            ))}
          </dl>
          <p className="small muted">A rule that you set below takes the place of the preset's.</p>
        </details>
      ) : null}
    </div>
  );
}

function TagField({ spec, change }: { spec: Document; change: Editing["change"] }) {
  const id = useId();
  const tags = useMemo(() => (at(spec, ["tags"]) as string[] | undefined) ?? [], [spec]);
  const [text, setText] = useState(tags.join(", "));
  return (
    <div className="field" style={{ marginTop: 12 }}>
      <label htmlFor={id}>Tags</label>
      <input
        id={id}
        value={text}
        placeholder="momentum, first try"
        onChange={(event) => {
          setText(event.target.value);
          const next = event.target.value.split(",").map((each) => each.trim()).filter(Boolean);
          change(["tags"], next.length > 0 ? next : undefined);
        }}
      />
      <span className="hint">Free words, with commas between them</span>
    </div>
  );
}

function Templates({ spec, onTake }: { spec: Document; onTake: (spec: Document) => void }) {
  const [kept, setKept] = useState(templates);
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState("");
  return (
    <>
      {Object.keys(kept).length > 0 ? (
        <>
          <span style={{ width: 170 }}>
            <select
              aria-label="Begin from a template"
              value={chosen}
              onChange={(event) => {
                setChosen(event.target.value);
                const taken = kept[event.target.value];
                if (taken) onTake(taken);
              }}
            >
              <option value="">Begin from a template</option>
              {Object.keys(kept).map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          </span>
          {chosen ? (
            <button
              type="button"
              className="plain"
              onClick={() => {
                setKept(drop(chosen));
                setChosen("");
              }}
            >
              Delete the template
            </button>
          ) : null}
        </>
      ) : null}
      <form
        className="row"
        onSubmit={(event) => {
          event.preventDefault();
          if (!name.trim()) return;
          setKept(keep(name.trim(), spec));
          setChosen(name.trim());
          say(`Kept as the template ${name.trim()} in this browser`);
          setName("");
        }}
      >
        <span style={{ width: 150 }}>
          <input aria-label="Name of the template" placeholder="Name of a template" value={name} onChange={(event) => setName(event.target.value)} />
        </span>
        <button type="submit" disabled={!name.trim()}>
          Keep as template
        </button>
      </form>
    </>
  );
}
