// The small pieces that every page is made of: numbers, times, states, messages.
import { useEffect, useId, useRef, useState, type ReactNode } from "react";
import { Problem } from "../api/problem";
import { format, UNDEFINED, type Kind, type Nullable } from "../format/numbers";
import { ago, local, market, utc } from "../format/times";

/** A number with its unit. `signed`: gains and losses are coloured, and told apart by their sign as well. */
export function Figure({ kind, value, unit, signed }: { kind: Kind; value: Nullable; unit?: string; signed?: boolean }) {
  const known = value !== null && value !== undefined;
  const tone = signed && known && value !== 0 ? (value > 0 ? " gain" : " loss") : "";
  return (
    <span className={`number${tone}`}>
      {format(kind, value)}
      {unit && known ? <small className="muted"> {unit}</small> : null}
    </span>
  );
}

const WIDE = 100_000; // from here on cents are left to the pointer

/** Money at the top of a page: large, and without cents where there is no room for them. */
export function BigMoney({ value, unit, signed }: { value: Nullable; unit: string; signed?: boolean }) {
  const isWide = value !== null && value !== undefined && Math.abs(value) >= WIDE;
  return (
    <span title={value === null || value === undefined ? undefined : `${format("money", value)} ${unit}`}>
      <Figure kind={isWide ? "count" : "money"} value={value} unit={unit} signed={signed ?? false} />
    </span>
  );
}

/** A moment of the wall clock, in the viewer's zone. */
export function When({ at, relative }: { at: string | null | undefined; relative?: boolean }) {
  const now = useNow(relative ? 5_000 : null);
  if (!at) return <span className="muted">{UNDEFINED}</span>;
  const value = new Date(at);
  return (
    <time dateTime={at} title={relative ? `${local(value)} here, ${utc(value)}` : utc(value)} className="number">
      {relative ? ago(value, now) : local(value)}
    </time>
  );
}

/** A time in the data: a date where bars are whole days. */
export function MarketTime({ at, days }: { at: string | null | undefined; days: boolean }) {
  if (!at) return <span className="muted">{UNDEFINED}</span>;
  const value = new Date(at);
  return (
    <time dateTime={at} title={utc(value)} className="number">
      {market(value, days)}
    </time>
  );
}

export function useNow(every: number | null): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    if (every === null) return;
    const timer = setInterval(() => setNow(new Date()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

export function Status({ status }: { status: string }) {
  return <span className={`status ${status}`}>{status}</span>;
}

export function Badge({ tone, title, children }: { tone?: "good" | "bad" | "warn"; title?: string; children: ReactNode }) {
  return (
    <span className={`badge ${tone ?? ""}`} title={title}>
      {children}
    </span>
  );
}

/** Hashes are shown by their beginning; all of it is copied. */
export function Digest({ value, label }: { value: string | null | undefined; label: string }) {
  if (!value) return <span className="muted">{UNDEFINED}</span>;
  return (
    <span className="row">
      <code title={value}>{value.slice(0, 16)}…</code>
      <CopyButton text={value} label={`Copy the ${label}`} small />
    </span>
  );
}

export function CopyButton({ text, label, small }: { text: string; label?: string; small?: boolean }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1_500);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button type="button" className={small ? "plain small" : ""} aria-label={label} onClick={() => void navigator.clipboard.writeText(text).then(() => setDone(true))}>
      {done ? "Copied" : "Copy"}
    </button>
  );
}

/** isPage: there is nothing else on the page, so that this is its heading. */
export function Empty({ title, children, action, isPage }: { title: string; children?: ReactNode; action?: ReactNode; isPage?: boolean }) {
  return (
    <div className="empty">
      {isPage ? <h1>{title}</h1> : <h2>{title}</h2>}
      {children ? <p>{children}</p> : null}
      {action}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div role="status">
      <div className="skeleton" />
      <span className="visually-hidden">Loading {what}</span>
    </div>
  );
}

/** What went wrong, in the server's words, and what one can do. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = Problem.of(error);
  return (
    <div className="banner bad" role="alert">
      <h2>{problem.title}</h2>
      {problem.detail ? <p>{problem.detail}</p> : null}
      {problem.fields.length > 0 ? (
        <ul>
          {problem.fields.map((field) => (
            <li key={field.path}>
              <code>{field.path}</code>: {field.value} is not right: {field.allowed}
            </li>
          ))}
        </ul>
      ) : null}
      {retry ? (
        <div className="row">
          <button type="button" onClick={retry}>
            Try again
          </button>
        </div>
      ) : null}
    </div>
  );
}

export function Panel({ title, actions, flush, children }: { title: ReactNode; actions?: ReactNode; flush?: boolean; children: ReactNode }) {
  const id = useId();
  return (
    <section className={`panel${flush ? " flush" : ""}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {actions ? <div className="end">{actions}</div> : null}
      </header>
      {children}
    </section>
  );
}

export interface Choice<T extends string> {
  value: T;
  label: ReactNode;
}

/** A few choices side by side, one of them pressed. */
export function Segments<T extends string>({ label, choices, value, onChange }: { label: string; choices: Choice<T>[]; value: T; onChange: (value: T) => void }) {
  return (
    <div className="segments" role="group" aria-label={label}>
      {choices.map((each) => (
        <button key={each.value} type="button" aria-pressed={each.value === value} onClick={() => onChange(each.value)}>
          {each.label}
        </button>
      ))}
    </div>
  );
}

/** Tabs: arrow keys move between them, one tab stop for all. */
export function Tabs<T extends string>({ label, choices, value, onChange, children }: { label: string; choices: Choice<T>[]; value: T; onChange: (value: T) => void; children: ReactNode }) {
  const id = useId();
  useEffect(() => {
    const chosen = document.getElementById(`${id}-${value}`);
    const bar = chosen?.parentElement;
    // Where the bar is too narrow for all of them; not scrollIntoView, which would scroll the page as well.
    if (chosen && bar) bar.scrollLeft = chosen.offsetLeft - (bar.clientWidth - chosen.clientWidth) / 2;
  }, [id, value]);
  const move = (event: React.KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const index = choices.findIndex((each) => each.value === value);
    const next = choices[(index + step + choices.length) % choices.length];
    if (!next) return;
    onChange(next.value);
    document.getElementById(`${id}-${next.value}`)?.focus();
  };
  return (
    <>
      <div className="tabs" role="tablist" aria-label={label} onKeyDown={move}>
        {choices.map((each) => (
          <button key={each.value} id={`${id}-${each.value}`} type="button" role="tab" aria-selected={each.value === value} aria-controls={`${id}-panel`} tabIndex={each.value === value ? 0 : -1} onClick={() => onChange(each.value)}>
            {each.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${value}`} className="page">
        {children}
      </div>
    </>
  );
}

export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}
