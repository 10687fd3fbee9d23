// How the system does: lag of every consumer, throughput, what was set aside, data sets.
import { useEffect, useState } from "react";
import { send, url, type CommandRow, type DataSet, type DataSetSummary, type DeadLetter, type DeadLetterText, type QuarantineRow, type System } from "../api/client";
import { useResource } from "../api/resource";
import { Badge, Dialog, Digest, Empty, Failure, Figure, Loading, Panel, Segments, Tabs, When } from "../components/basics";
import { DataTable, type Column } from "../components/DataTable";
import { complain, say } from "../components/toasts";
import { bytes, count, UNDEFINED } from "../format/numbers";
import { duration, utcDay } from "../format/times";
import { useReconnected } from "../live/stream";
import { useMay } from "../me";
import { adjust, backtestAddress } from "../routes";
import { UploadDialog } from "./system/UploadDialog";

const EVERY_MILLISECONDS = 2_000;
const TABS = ["now", "commands", "letters", "data"] as const;
type Tab = (typeof TABS)[number];

export default function SystemPage({ parameters }: { parameters: URLSearchParams }) {
  const maySee = useMay("read");
  const asked = parameters.get("tab") as Tab | null;
  const tab: Tab = asked !== null && TABS.includes(asked) ? asked : maySee ? "now" : "data";
  const system = useResource<System>(maySee ? "/api/system" : null);
  useReconnected(system.reload);
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && system.reload(), EVERY_MILLISECONDS);
    return () => clearInterval(timer);
  }, [system.reload]);
  const letters = system.value?.dead_letters;
  const choices: { value: Tab; label: React.ReactNode }[] = [
    { value: "now", label: "Now" },
    { value: "commands", label: "Commands" },
    { value: "letters", label: <>Set aside {letters ? <span className="number">{count(letters + (system.value?.quarantined ?? 0))}</span> : null}</> },
    { value: "data", label: "Data sets" },
  ];
  return (
    <div className="page">
      <div className="page-head">
        <h1>System</h1>
        {system.value ? <State system={system.value} /> : null}
      </div>
      <Tabs label="Parts of the system" choices={maySee ? choices : choices.slice(3)} value={tab} onChange={(next) => adjust({ tab: next === "now" ? null : next })}>
        {tab === "now" ? system.value ? <Now system={system.value} /> : system.error ? <Failure error={system.error} retry={system.reload} /> : <Loading what="the system's state" /> : null}
        {tab === "commands" ? <Commands /> : null}
        {tab === "letters" ? <SetAside /> : null}
        {tab === "data" ? <Data /> : null}
      </Tabs>
    </div>
  );
}

function State({ system }: { system: System }) {
  if (system.lag_records === null) return <Badge tone="warn">Kafka does not answer</Badge>;
  return system.is_stale ? <Badge tone="warn">The read model is behind the log</Badge> : <Badge tone="good">✓ Up to date</Badge>;
}

const GENERATIONS: Record<System["generations"][number]["state"], string> = {
  building: "a rebuild makes its tables",
  standby: "a rebuild fills it from the log",
  live: "what is shown here",
  kept: "fed on, to go back to",
  dropping: "being removed",
};

function Now({ system }: { system: System }) {
  const figures: [string, React.ReactNode, string?][] = [
    ["Behind the log", <Figure key="l" kind="count" value={system.lag_records} unit="records" />],
    ["Oldest of them", system.lag_seconds ? duration(system.lag_seconds) : UNDEFINED],
    ["Into the read model", <Figure key="e" kind="count" value={system.events_per_second} unit="events/s" />],
    ["Finished", <Figure key="f" kind="ratio" value={system.finished_per_second === null ? null : system.finished_per_second * 60} unit="per minute" />, "backtests, over the last minute or so"],
    ["Running", <Figure key="r" kind="count" value={system.backtests["running"] ?? 0} />],
    ["Queued", <Figure key="q" kind="count" value={system.backtests["queued"] ?? 0} />],
    ["Set aside", <Figure key="d" kind="count" value={system.dead_letters + system.quarantined} />],
    ["Without a snapshot", <Figure key="s" kind="count" value={system.without_snapshot} />, "finished runs; the compactor works through them"],
    ["Open streams", <Figure key="o" kind="count" value={system.streams} />],
  ];
  return (
    <>
      <dl className="headlines">
        {figures.map(([label, value, title]) => (
          <div key={label} title={title}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <div className="grid-2">
        <LagPanel title="Projector: log to read model" rows={system.sources.map((row) => ({ name: row.topic, partition: row.partition, done: row.next_offset, end: row.end_offset, lag: row.lag_records, at: row.recorded_at }))} withTime />
        <LagPanel title="Consumer groups" rows={system.groups.map((row) => ({ name: row.group, partition: row.partition, done: row.committed_offset, end: row.end_offset, lag: row.lag_records, at: null }))} note="The compactor commits where every run before has ended: what comes after the first open one counts as behind." />
      </div>
      <ArchivePanel rows={system.archive} />
      <div className="grid-2">
        <Panel title="Recorded so far">
          <dl className="figures">
            {([["Backtests", system.backtests["total"] ?? 0], ["Events", system.events], ["Commits", system.commits], ["Fills", system.fills], ["Snapshots", system.snapshots]] as const).map(([label, value]) => (
              <div key={label}>
                <dt>{label}</dt>
                <dd>{count(value)}</dd>
              </div>
            ))}
            {Object.entries(system.outcomes).map(([outcome, value]) => (
              <div key={outcome}>
                <dt>Commands: {outcome.replaceAll("_", " ")}</dt>
                <dd>{count(value)}</dd>
              </div>
            ))}
          </dl>
        </Panel>
        <Panel title="Kept and rebuilt">
          <dl className="facts">
            <dt>Backtape</dt>
            <dd>{system.version}</dd>
            <dt>snapshots</dt>
            <dd>
              <span className="number">
                {count(system.snapshots)} written, {count(system.without_snapshot)} to come
              </span>
              {system.oldest_without_snapshot ? <>; the first of them ended <When at={system.oldest_without_snapshot} relative /></> : null}
            </dd>
            <dt>read model</dt>
            <dd>
              {system.generations.map((each) => (
                <div key={each.name}>
                  <code>{each.name}</code> <Badge {...(each.state === "live" ? { tone: "good" as const } : {})}>{each.state}</Badge> {GENERATIONS[each.state]}, since <When at={each.changed_at} relative />
                </div>
              ))}
            </dd>
            <dt>audits waiting</dt>
            <dd className="number">{count(system.audits_queued)}</dd>
            <dt>as of</dt>
            <dd>
              <When at={system.now} />
            </dd>
          </dl>
        </Panel>
      </div>
    </>
  );
}

interface LagRow {
  name: string;
  partition: number;
  done: number | null;
  end: number | null;
  lag: number | null;
  at: string | null;
}

/** All names of an installation begin with the same prefix: who points at one sees it. */
function Short({ name }: { name: string }) {
  return <span title={name}>{name.slice(name.lastIndexOf(".") + 1)}</span>;
}

/** Partitions of one name together: sums, and the newest time. */
function summed(rows: LagRow[]): LagRow[] {
  const byName = new Map<string, LagRow[]>();
  for (const row of rows) byName.set(row.name, [...(byName.get(row.name) ?? []), row]);
  const sum = (values: (number | null)[]): number | null => (values.includes(null) ? null : values.reduce<number>((total, value) => total + (value ?? 0), 0));
  return [...byName].map(([name, parts]) => ({
    name,
    partition: parts.length,
    done: sum(parts.map((part) => part.done)),
    end: sum(parts.map((part) => part.end)),
    lag: sum(parts.map((part) => part.lag)),
    at: parts.map((part) => part.at).filter((at) => at !== null).sort().at(-1) ?? null,
  }));
}

function LagPanel({ title, rows, withTime, note }: { title: string; rows: LagRow[]; withTime?: boolean; note?: string }) {
  const [by, setBy] = useState<"name" | "partition">("name");
  const columns: Column<LagRow>[] = [
    { id: "name", header: withTime ? "Topic" : "Group", sort: (row) => row.name, cell: (row) => <Short name={row.name} /> },
    { id: "lag", header: "Behind", unit: "records", right: true, sort: (row) => row.lag, cell: (row) => (row.lag ? <b className="warn number">{count(row.lag)}</b> : <Figure kind="count" value={row.lag} />) },
    { id: "partition", header: by === "name" ? "Partitions" : "Partition", right: true, sort: (row) => row.partition, cell: (row) => row.partition },
    { id: "done", header: "Read up to", right: true, sort: (row) => row.done, cell: (row) => <Figure kind="count" value={row.done} /> },
    { id: "end", header: "End", right: true, sort: (row) => row.end, cell: (row) => <Figure kind="count" value={row.end} /> },
    ...(withTime ? [{ id: "at", header: "Newest record", right: true, sort: (row: LagRow) => row.at, cell: (row: LagRow) => <When at={row.at} relative /> }] : []),
  ];
  const choices = [{ value: "name" as const, label: "Together" }, { value: "partition" as const, label: "By partition" }];
  return (
    <Panel flush title={title} actions={<Segments label={`${title}, shown`} choices={choices} value={by} onChange={setBy} />}>
      <DataTable label={title} columns={columns} rows={by === "name" ? summed(rows) : rows} rowKey={(row) => `${row.name}/${row.partition}`} empty={<Empty title="Nothing is read yet" />} />
      {note ? <p className="table-note">{note}</p> : null}
    </Panel>
  );
}

type Archived = Omit<System["archive"][number], "log_id" | "archived_offset" | "partition"> & { partitions: number };

/** Partitions of one topic together: sums; an archive reaches as far as the partition that is the farthest back. */
export function archivedByTopic(rows: System["archive"]): Archived[] {
  const byTopic = new Map<string, System["archive"]>();
  for (const row of rows) byTopic.set(row.topic, [...(byTopic.get(row.topic) ?? []), row]);
  return [...byTopic].map(([topic, parts]) => {
    const open = parts.map((part) => part.offsets_only_in_kafka);
    const times = parts.map((part) => part.archived_until).filter((at) => at !== null);
    return {
      topic,
      partitions: parts.length,
      ranges: parts.reduce((sum, part) => sum + part.ranges, 0),
      records: parts.reduce((sum, part) => sum + part.records, 0),
      bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
      archived_until: times.sort()[0] ?? null,
      offsets_only_in_kafka: open.includes(null) ? null : open.reduce<number>((sum, each) => sum + (each ?? 0), 0),
    };
  });
}

const ARCHIVE_COLUMNS: Column<Archived>[] = [
  { id: "topic", header: "Topic", sort: (row) => row.topic, cell: (row) => <Short name={row.topic} /> },
  { id: "records", header: "Archived", unit: "records", right: true, sort: (row) => row.records, cell: (row) => <Figure kind="count" value={row.records} /> },
  { id: "bytes", header: "Size", right: true, title: "compressed", sort: (row) => row.bytes, cell: (row) => <span className="number">{bytes(row.bytes)}</span> },
  { id: "ranges", header: "Ranges", right: true, sort: (row) => row.ranges, cell: (row) => <Figure kind="count" value={row.ranges} /> },
  { id: "offsets_only_in_kafka", header: "Only in Kafka", unit: "offsets", right: true, title: "what would be lost with Kafka", sort: (row) => row.offsets_only_in_kafka, cell: (row) => <Figure kind="count" value={row.offsets_only_in_kafka} /> },
  { id: "partitions", header: "Partitions", right: true, cell: (row) => row.partitions },
  { id: "archived_until", header: "Reaches to", right: true, title: "of the partition that is the farthest back", sort: (row) => row.archived_until, cell: (row) => <When at={row.archived_until} relative /> },
];

function ArchivePanel({ rows }: { rows: System["archive"] }) {
  return (
    <Panel flush title="Archive: the log beyond Kafka">
      <DataTable label="Archive" columns={ARCHIVE_COLUMNS} rows={archivedByTopic(rows)} rowKey={(row) => row.topic} empty={<Empty title="Nothing is read yet" />} />
      <p className="table-note">
        <span>
          A range is closed when it is full or, unless set otherwise, after an hour; <code>backtape archive</code> closes what there is.
        </span>
      </p>
    </Panel>
  );
}

const COMMAND_COLUMNS: Column<CommandRow>[] = [
  { id: "recorded_at", header: "Decided", right: true, sort: (row) => row.recorded_at, cell: (row) => <When at={row.recorded_at} relative /> },
  { id: "outcome", header: "Outcome", sort: (row) => row.outcome, cell: (row) => <Badge {...(row.outcome === "accepted" ? { tone: "good" as const } : row.outcome === "duplicate" || row.outcome === "forwarded" ? {} : { tone: "bad" as const })}>{row.outcome.replaceAll("_", " ")}</Badge> },
  { id: "command_type", header: "Command", sort: (row) => row.command_type, cell: (row) => row.command_type ?? UNDEFINED },
  { id: "backtest_id", header: "Backtest", sort: (row) => row.backtest_id, cell: (row) => (row.backtest_id ? <a href={backtestAddress(row.backtest_id)}>{row.backtest_id}</a> : UNDEFINED) },
  { id: "submitter", header: "By", sort: (row) => row.submitter, cell: (row) => row.submitter ?? UNDEFINED },
  { id: "detail", header: "Why", cell: (row) => <span title={row.detail ?? undefined}>{row.detail ?? row.reason?.replaceAll("_", " ") ?? UNDEFINED}</span> },
];

function Commands() {
  const [outcome, setOutcome] = useState("");
  const commands = useResource<{ items: CommandRow[] }>(url("/api/system/commands", { outcome, limit: 500 }), { keep: true });
  return (
    <Panel
      flush
      title="Commands, and what became of them"
      actions={
        <>
          <span style={{ width: 150 }}>
            <select aria-label="Outcome" value={outcome} onChange={(event) => setOutcome(event.target.value)}>
              <option value="">All outcomes</option>
              {["accepted", "duplicate", "rejected", "expired", "queue_full", "forwarded", "dead"].map((each) => (
                <option key={each} value={each}>
                  {each.replaceAll("_", " ")}
                </option>
              ))}
            </select>
          </span>
          <button type="button" onClick={commands.reload}>
            Read again
          </button>
        </>
      }
    >
      {commands.error ? <Failure error={commands.error} retry={commands.reload} /> : commands.value ? <DataTable label="Commands" columns={COMMAND_COLUMNS} rows={commands.value.items} rowKey={(row) => `${row.partition}/${row.receipt_offset}`} empty={<Empty title="No command" />} /> : <Loading what="commands" />}
    </Panel>
  );
}

function SetAside() {
  const isAdministrator = useMay("admin");
  const letters = useResource<{ items: DeadLetter[] }>(isAdministrator ? "/api/system/dead-letters" : null);
  const quarantine = useResource<{ items: QuarantineRow[] }>("/api/system/quarantine");
  const [opened, setOpened] = useState<DeadLetter | null>(null);
  const letterColumns: Column<DeadLetter>[] = [
    { id: "recorded_at", header: "Set aside", right: true, sort: (row) => row.recorded_at, cell: (row) => <When at={row.recorded_at} relative /> },
    { id: "reason", header: "Reason", sort: (row) => row.reason, cell: (row) => row.reason.replaceAll("_", " ") },
    { id: "detail", header: "What was wrong", cell: (row) => <span title={row.detail}>{row.detail}</span> },
    { id: "length", header: "Size", right: true, sort: (row) => row.length, cell: (row) => (row.length === null ? UNDEFINED : bytes(row.length)) },
    { id: "partition", header: "Partition", right: true, cell: (row) => row.partition },
    { id: "letter_offset", header: "Offset", right: true, cell: (row) => count(row.letter_offset) },
    { id: "open", header: "Message", cell: (row) => <button type="button" className="plain small" aria-label={`Look at dead letter ${row.letter_offset} of partition ${row.partition}`} onClick={() => setOpened(row)}>Look</button> },
  ];
  return (
    <>
      <Panel flush title="Dead letters: messages that could not be read as commands">
        {!isAdministrator ? <Empty title="Only an administrator may see them">They hold what others have sent.</Empty> : letters.error ? <Failure error={letters.error} retry={letters.reload} /> : letters.value ? <DataTable label="Dead letters" columns={letterColumns} rows={letters.value.items} rowKey={(row) => `${row.partition}/${row.letter_offset}`} onOpen={setOpened} empty={<Empty title="No dead letter">Every message could be read.</Empty>} /> : <Loading what="dead letters" />}
      </Panel>
      <Panel flush title="Quarantine: records that could not be projected">
        {quarantine.error ? <Failure error={quarantine.error} retry={quarantine.reload} /> : quarantine.value ? <DataTable label="Quarantine" columns={QUARANTINE_COLUMNS} rows={quarantine.value.items} rowKey={(row) => `${row.topic}/${row.partition}/${row.offset}`} empty={<Empty title="Nothing is in quarantine">Every record is in the read model.</Empty>} /> : <Loading what="the quarantine" />}
      </Panel>
      {opened ? <Letter letter={opened} onClose={() => setOpened(null)} onSent={letters.reload} /> : null}
    </>
  );
}

const QUARANTINE_COLUMNS: Column<QuarantineRow>[] = [
  { id: "backtest_id", header: "Backtest", cell: (row) => (row.backtest_id ? <a href={backtestAddress(row.backtest_id)}>{row.backtest_id}</a> : UNDEFINED) },
  { id: "topic", header: "Topic", cell: (row) => row.topic },
  { id: "partition", header: "Partition", right: true, cell: (row) => row.partition },
  { id: "offset", header: "Offset", right: true, cell: (row) => count(row.offset) },
  { id: "reason", header: "What is wrong", cell: (row) => <span title={row.reason}>{row.reason}</span> },
  { id: "recorded_at", header: "Recorded", right: true, cell: (row) => <When at={row.recorded_at} relative /> },
];

function Letter({ letter, onClose, onSent }: { letter: DeadLetter; onClose: () => void; onSent: () => void }) {
  const path = `/api/system/dead-letters/${letter.partition}/${letter.letter_offset}`;
  const whole = useResource<DeadLetterText>(path);
  const [text, setText] = useState<string | null>(null);
  const shown = text ?? whole.value?.text ?? "";
  const isChanged = text !== null && text !== whole.value?.text;
  const retry = async (): Promise<void> => {
    try {
      const { partition, offset } = await send<{ partition: number; offset: number }>("POST", `${path}/retry`, isChanged ? { text } : undefined);
      say(`Sent as a command again: partition ${partition}, offset ${count(offset)}`);
      onSent();
      onClose();
    } catch (error) {
      complain(error);
    }
  };
  return (
    <Dialog title={`Dead letter ${count(letter.letter_offset)} of partition ${letter.partition}`} onClose={onClose}>
      {whole.error ? <Failure error={whole.error} retry={whole.reload} /> : !whole.value ? <Loading what="the message" /> : (
        <div className="stack">
          <p>{whole.value.detail}</p>
          <dl className="facts">
            <dt>key</dt>
            <dd><code>{whole.value.key ?? "none"}</code></dd>
            <dt>size</dt>
            <dd className="number">{bytes(whole.value.length)}{whole.value.is_whole ? "" : "; only its beginning was kept"}</dd>
            <dt>SHA-256</dt>
            <dd><Digest value={whole.value.sha256} label="digest" /></dd>
          </dl>
          <div className="field">
            <label htmlFor="letter-text">The message; correct it here if you like</label>
            <textarea id="letter-text" rows={12} value={shown} readOnly={!whole.value.is_text} onChange={(event) => setText(event.target.value)} />
          </div>
        </div>
      )}
      <div className="row end">
        <button type="button" onClick={onClose}>
          Close
        </button>
        <button type="button" className="primary" disabled={!whole.value || (!whole.value.is_whole && !isChanged)} onClick={() => void retry()}>
          {isChanged ? "Send the corrected message" : "Send it again as it was"}
        </button>
      </div>
    </Dialog>
  );
}

function Data() {
  const sets = useResource<{ items: DataSetSummary[] }>("/api/datasets");
  const [opened, setOpened] = useState<string | null>(null);
  const [isUploading, setUploading] = useState(false);
  const maySubmit = useMay("submit");
  const columns: Column<DataSetSummary>[] = [
    { id: "dataset", header: "Data set", sort: (row) => row.dataset, cell: (row) => <button type="button" className="plain link" onClick={() => setOpened(row.dataset)}>{row.dataset}</button> },
    { id: "version", header: "Version", right: true, sort: (row) => row.version, cell: (row) => row.version },
    { id: "symbols", header: "Symbols", cell: (row) => <span title={row.symbols.join(" ")}>{row.symbols.slice(0, 6).join(" ")}{row.symbols.length > 6 ? ` +${row.symbols.length - 6}` : ""}</span> },
    { id: "timeframes", header: "Bars of", cell: (row) => row.timeframes.join(" ") },
    { id: "bars", header: "Bars", right: true, sort: (row) => row.bars, cell: (row) => count(row.bars) },
    { id: "first_ms", header: "From", right: true, sort: (row) => row.first_ms, cell: (row) => utcDay(new Date(row.first_ms)) },
    { id: "last_ms", header: "To", right: true, sort: (row) => row.last_ms, cell: (row) => utcDay(new Date(row.last_ms)) },
    { id: "adjusted", header: "Adjusted", cell: (row) => (row.adjusted ? "yes" : "no") },
    { id: "source", header: "Source", cell: (row) => <span title={row.source}>{row.source}</span> },
  ];
  return (
    <>
      <Panel flush title="Data sets" actions={maySubmit ? <button type="button" onClick={() => setUploading(true)}>Upload bars</button> : null}>
        {sets.error ? <Failure error={sets.error} retry={sets.reload} /> : sets.value ? <DataTable label="Data sets" columns={columns} rows={sets.value.items} rowKey={(row) => row.dataset} onOpen={(row) => setOpened(row.dataset)} empty={<Empty title="No data set yet">Upload bars here, or bring them in with <code>backtape data import</code>.</Empty>} /> : <Loading what="data sets" />}
      </Panel>
      {opened ? <DataSetPanel name={opened} /> : null}
      {isUploading ? <UploadDialog onClose={() => setUploading(false)} onDone={sets.reload} /> : null}
    </>
  );
}

const FILE_COLUMNS: Column<DataSet["files"][number]>[] = [
  { id: "symbol", header: "Symbol", sort: (row) => row.symbol, cell: (row) => row.symbol },
  { id: "timeframe", header: "Bars of", sort: (row) => row.timeframe, cell: (row) => row.timeframe },
  { id: "bars", header: "Bars", right: true, sort: (row) => row.bars, cell: (row) => count(row.bars) },
  { id: "first_ms", header: "From", right: true, sort: (row) => row.first_ms, cell: (row) => utcDay(new Date(row.first_ms)) },
  { id: "last_ms", header: "To", right: true, sort: (row) => row.last_ms, cell: (row) => utcDay(new Date(row.last_ms)) },
  { id: "bytes", header: "Size", right: true, sort: (row) => row.bytes, cell: (row) => bytes(row.bytes) },
  { id: "sha256", header: "SHA-256", cell: (row) => <Digest value={row.sha256} label="digest" /> },
];

function DataSetPanel({ name }: { name: string }) {
  const whole = useResource<DataSet>(`/api/datasets/${encodeURIComponent(name)}`);
  return (
    <Panel flush title={name} actions={whole.value ? <span className="muted">version {whole.value.version} of {whole.value.versions.length}; what a run records: <Digest value={whole.value.digest} label="digest" /></span> : null}>
      {whole.error ? <Failure error={whole.error} retry={whole.reload} /> : whole.value ? <DataTable label={`Files of ${name}`} columns={FILE_COLUMNS} rows={whole.value.files} rowKey={(row) => row.sha256} /> : <Loading what={name} />}
      {whole.value && whole.value.repairs.length > 0 ? <p className="table-note">Mended at its import: {whole.value.repairs.join("; ")}</p> : null}
    </Panel>
  );
}
