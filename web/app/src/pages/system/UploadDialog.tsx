// Takes one symbol's bars from a file. The server checks them as the command line does, and says what is wrong by row and column.
import { useId, useState } from "react";
import { upload, url } from "../../api/client";
import { Dialog, Failure } from "../../components/basics";
import { say } from "../../components/toasts";

export function UploadDialog({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [file, setFile] = useState<File | null>(null);
  const [dataset, setDataset] = useState("");
  const [symbol, setSymbol] = useState("");
  const [timeframe, setTimeframe] = useState("1d");
  const [timezone, setTimezone] = useState("UTC");
  const [isAdjusted, setAdjusted] = useState(false);
  const [isMended, setMended] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [isSending, setSending] = useState(false);
  const id = useId();
  const choose = (chosen: File | null): void => {
    setFile(chosen);
    if (!chosen) return;
    // AAPL.1d.csv says it all.
    const [name, length] = chosen.name.split(".");
    if (name && !symbol) setSymbol(name);
    if (length && /^\d+[smhdw]$/.test(length)) setTimeframe(length);
  };
  const start = async (): Promise<void> => {
    if (!file) return;
    setSending(true);
    setError(null);
    try {
      const path = url(`/api/datasets/${encodeURIComponent(dataset)}/uploads`, { symbol, timeframe, timezone, adjusted: isAdjusted, repair: isMended });
      const answer = await upload<{ dataset: string; version: number; is_new: boolean }>(path, file, file.name.endsWith(".parquet") ? "application/vnd.apache.parquet" : "text/csv");
      say(answer.is_new ? `${answer.dataset} has a version ${answer.version} now` : `${answer.dataset} holds these very bars already`);
      onDone();
      onClose();
    } catch (problem) {
      setError(problem);
      setSending(false);
    }
  };
  return (
    <Dialog title="Upload bars" onClose={onClose}>
      <div className="stack">
        <p className="muted">CSV or Parquet with the columns timestamp, open, high, low, close, volume. An upload becomes a new version of its data set; earlier versions stay as they are.</p>
        {error ? <Failure error={error} /> : null}
        <div className="field">
          <label htmlFor={`${id}-file`}>File</label>
          <input id={`${id}-file`} type="file" accept=".csv,.parquet" onChange={(event) => choose(event.target.files?.[0] ?? null)} />
        </div>
        <div className="fields">
          {([["Data set", dataset, setDataset], ["Symbol", symbol, setSymbol], ["Bars of", timeframe, setTimeframe], ["Zone of its times", timezone, setTimezone]] as const).map(([label, value, set]) => (
            <div key={label} className="field">
              <label htmlFor={`${id}-${label}`}>{label}</label>
              <input id={`${id}-${label}`} value={value} onChange={(event) => set(event.target.value.trim())} />
            </div>
          ))}
        </div>
        <label className="check">
          <input type="checkbox" checked={isAdjusted} onChange={(event) => setAdjusted(event.target.checked)} />
          Splits and dividends are in the prices already
        </label>
        <label className="check">
          <input type="checkbox" checked={isMended} onChange={(event) => setMended(event.target.checked)} />
          Mend what can be mended, and list it
        </label>
      </div>
      <div className="row end">
        <button type="button" onClick={onClose}>
          Close
        </button>
        <button type="button" className="primary" disabled={isSending || !file || !dataset || !symbol || !timeframe} onClick={() => void start()}>
          {isSending ? "Checking…" : "Upload"}
        </button>
      </div>
    </Dialog>
  );
}
