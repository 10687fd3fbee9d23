// Where the result comes from, and the proof: what ran, on what data, where its log lies, what the last audit found.
import { backtestPath, isOver, url } from "../../api/client";
import { Badge, Digest, Empty, Panel, When } from "../../components/basics";
import { count } from "../../format/numbers";
import type { TabProperties } from "../BacktestPage";
import { AuditBadge, AuditButton } from "./Head";

const VERDICTS = { proven: "good", different: "bad", not_tried: "warn" } as const;

export function ProvenanceTab({ run, refresh }: TabProperties & { refresh: () => void }) {
  const { audit } = run;
  return (
    <div className="grid-2">
      <Panel title="Proof" actions={isOver(run.status) ? <AuditButton id={run.backtest_id} audit={audit} refresh={refresh} /> : null}>
        {!audit || audit.state === "none" ? (
          <Empty title="Not audited yet">
            {isOver(run.status) ? "An audit runs the simulation again and compares every commit, row and file with what was recorded." : "An audit needs the whole log: it can start when the run is over."}
          </Empty>
        ) : (
          <div className="stack">
            <p className="row">
              <AuditBadge audit={audit} />
              <span className="muted">asked for by {audit.requested_by ?? "nobody known"}, <When at={audit.requested_at} /></span>
            </p>
            {audit.detail ? <p>{audit.detail}</p> : null}
            {audit.findings.length > 0 ? (
              <dl className="facts">
                {audit.findings.map((finding) => (
                  <div key={finding.check} style={{ display: "contents" }}>
                    <dt>{finding.check}</dt>
                    <dd>
                      <Badge tone={VERDICTS[finding.verdict]}>{finding.verdict.replaceAll("_", " ")}</Badge> {finding.detail}
                    </dd>
                  </div>
                ))}
              </dl>
            ) : null}
          </div>
        )}
      </Panel>
      <Panel title="Inputs">
        <dl className="facts">
          <dt>spec digest</dt>
          <dd><Digest value={run.spec_digest} label="spec digest" /></dd>
          <dt>data set</dt>
          <dd>{run.dataset ?? "–"}{run.dataset_version ? `, version ${run.dataset_version}` : ""}</dd>
          <dt>data digest</dt>
          <dd><Digest value={run.data_digest} label="data digest" /></dd>
          {Object.entries(run.code).map(([name, value]) => (
            <div key={name} style={{ display: "contents" }}>
              <dt>{name.replaceAll("_", " ")}</dt>
              <dd>{/^[0-9a-f]{64}$/.test(value) ? <Digest value={value} label={name} /> : value}</dd>
            </div>
          ))}
        </dl>
      </Panel>
      <Panel title="Log">
        <dl className="facts">
          <dt>chain head</dt>
          <dd><Digest value={run.chain_head} label="chain head" /></dd>
          <dt>events</dt>
          <dd className="number">{count(run.last_sequence)} in {count(run.last_number)} commits</dd>
          <dt>partition</dt>
          <dd className="number">{run.partition}, from offset {count(run.first_offset)}</dd>
          <dt>log id</dt>
          <dd><code>{run.log_id ?? "–"}</code></dd>
          <dt>command</dt>
          <dd><code>{run.command_id}</code></dd>
          <dt>accepted</dt>
          <dd><When at={run.accepted_at} /></dd>
          <dt>started</dt>
          <dd><When at={run.started_at} /></dd>
          <dt>finished</dt>
          <dd><When at={run.finished_at} /></dd>
        </dl>
      </Panel>
      <Panel title="Files" actions={run.manifest_key ? <a className="button" href={backtestPath(run.backtest_id, "/snapshot")} target="_blank" rel="noreferrer">Addresses of the Parquet files</a> : null}>
        {run.manifest_key ? (
          <dl className="facts">
            <dt>manifest</dt>
            <dd><code>{run.manifest_key}</code></dd>
            <dt>report</dt>
            <dd><a href={url(backtestPath(run.backtest_id, "/report"), { download: true })} download>one HTML file</a></dd>
          </dl>
        ) : (
          <Empty title="No snapshot yet">{isOver(run.status) ? "The compactor writes it in a moment." : "Finished runs get a snapshot in Parquet."}</Empty>
        )}
      </Panel>
    </div>
  );
}
