// A form that follows a JSON Schema. Nothing is sent that was not filled in: an empty field shows its default and leaves it to it.
import { useEffect, useId, useState } from "react";
import type { FieldProblem } from "../api/problem";
import { at, propertiesOf, readList, readNumber, type Document, type Property, type Schema } from "./schema";
import { hintOf, labelOf, POLICIES, VARIANTS } from "./words";

export interface Editing {
  document: Document;
  problems: readonly FieldProblem[];
  /** undefined: the default again. */
  change: (path: readonly string[], value: unknown) => void;
  /** What holds where nothing is filled in: a preset's policy, else the schema's default. */
  standard?: (path: readonly string[]) => unknown;
  /** What a field of text may hold, where that is known. */
  choices?: (path: readonly string[]) => readonly string[] | undefined;
}

interface Properties {
  schema: Schema;
  root?: Schema;
  path: readonly string[];
  editing: Editing;
  only?: readonly string[];
  except?: readonly string[];
}

export function SchemaFields({ schema, root = schema, path, editing, only, except }: Properties) {
  const shown = propertiesOf(schema, root).filter(({ name }) => (only ? only.includes(name) : !except?.includes(name)));
  return (
    <div className="fields">
      {shown.map((property) => (
        <PropertyField key={property.name} property={property} root={root} path={[...path, property.name]} editing={editing} />
      ))}
    </div>
  );
}

export function problemsAt(problems: readonly FieldProblem[], path: readonly string[]): readonly FieldProblem[] {
  const name = ["spec", ...path].join(".");
  return problems.filter((problem) => problem.path === name || problem.path.startsWith(`${name}.`));
}

function PropertyField({ property, root, path, editing }: { property: Property; root: Schema; path: readonly string[]; editing: Editing }) {
  const id = useId();
  const { name } = property;
  const known = property.field.kind === "text" ? editing.choices?.(path) : undefined;
  const field: Property["field"] = known ? { kind: "choice", values: [...known] } : property.field;
  const value = at(editing.document, path);
  const standard = editing.standard?.(path) ?? property.default;
  const problems = field.kind === "group" || field.kind === "variants" ? [] : problemsAt(editing.problems, path);
  const described = [problems.length > 0 ? `${id}-problem` : null, `${id}-hint`].filter(Boolean).join(" ");
  const common = { id, "aria-invalid": problems.length > 0, "aria-describedby": described };
  const set = (next: unknown): void => editing.change(path, next);

  if (field.kind === "variants") return <Variants property={property} root={root} path={path} editing={editing} />;
  if (field.kind === "group") {
    return (
      <fieldset style={{ gridColumn: "1 / -1" }}>
        <legend>{labelOf(name)}</legend>
        <SchemaFields schema={field.schema} root={root} path={path} editing={editing} />
      </fieldset>
    );
  }
  const limits = field.kind === "number" ? field.limits : "";
  const hint = [hintOf(name) ?? property.schema.description, limits].filter(Boolean).join("; ");
  if (field.kind === "flag") {
    return (
      <div className="field">
        <span className="label">&nbsp;</span>
        <label className="check">
          <input type="checkbox" {...common} checked={Boolean(value ?? standard ?? false)} onChange={(event) => set(event.target.checked === Boolean(standard) ? undefined : event.target.checked)} />
          {labelOf(name)}
        </label>
        <span className="hint" id={`${id}-hint`}>
          {hint}
        </span>
        <Problems id={`${id}-problem`} problems={problems} />
      </div>
    );
  }
  return (
    <div className="field" style={field.kind === "json" ? { gridColumn: "1 / -1" } : undefined}>
      <label htmlFor={id}>
        {labelOf(name)}
        {property.isRequired ? <span className="muted"> (needed)</span> : null}
      </label>
      {field.kind === "choice" ? (
        <select {...common} value={typeof value === "string" ? value : ""} onChange={(event) => set(event.target.value || undefined)}>
          {property.isRequired && value !== undefined ? null : <option value="">{standard === undefined || standard === null ? (known ? "none" : "–") : `${choiceName(name, String(standard))} (default)`}</option>}
          {typeof value === "string" && !field.values.includes(value) ? <option value={value}>{value}</option> : null}
          {field.values.map((each) => (
            <option key={each} value={each}>
              {known ? each : choiceName(name, each)}
            </option>
          ))}
        </select>
      ) : field.kind === "number" ? (
        <TextField common={{ ...common, inputMode: field.isInteger ? "numeric" : "decimal" }} value={value} standard={standard} read={readNumber} set={set} />
      ) : field.kind === "text" ? (
        <TextField common={common} value={value} standard={standard} read={(text) => text.trim() || undefined} set={set} />
      ) : field.kind === "list" ? (
        <TextField common={common} value={value} standard="" read={readList} set={set} />
      ) : (
        <JsonField common={common} value={value} standard={standard} set={set} />
      )}
      {hint ? (
        <span className="hint" id={`${id}-hint`}>
          {hint}
        </span>
      ) : null}
      <Problems id={`${id}-problem`} problems={problems} />
    </div>
  );
}

function choiceName(name: string, value: string): string {
  const meaning = POLICIES[name]?.values[value];
  return meaning ? `${value.replaceAll("_", " ")}: ${meaning}` : value.replaceAll("_", " ");
}

export function Problems({ id, problems }: { id: string; problems: readonly FieldProblem[] }) {
  if (problems.length === 0) return null;
  return (
    <span className="problem" id={id}>
      {problems.map((problem) => problem.allowed).join("; ")}
    </span>
  );
}

type Common = React.InputHTMLAttributes<HTMLInputElement>;

/** Keeps what is typed as it is typed ("1." is no number yet), and follows the document when that changes from elsewhere. */
function TextField({ common, value, standard, read, set }: { common: Common; value: unknown; standard: unknown; read: (text: string) => unknown; set: (value: unknown) => void }) {
  const written = asText(value);
  const [text, setText] = useState(written);
  useEffect(() => setText((before) => (asText(read(before)) === written ? before : written)), [written]);
  return (
    <input
      {...common}
      value={text}
      placeholder={standard === undefined || standard === null ? "" : String(standard)}
      onChange={(event) => {
        setText(event.target.value);
        set(read(event.target.value));
      }}
    />
  );
}

const asText = (value: unknown): string => (value === undefined || value === null ? "" : Array.isArray(value) ? value.join(", ") : String(value));

function JsonField({ common, value, standard, set }: { common: { id: string; "aria-invalid": boolean; "aria-describedby": string }; value: unknown; standard: unknown; set: (value: unknown) => void }) {
  const written = value === undefined ? "" : JSON.stringify(value, null, 2);
  const [text, setText] = useState(written);
  const [isBroken, setBroken] = useState(false);
  useEffect(() => setText((before) => (same(before, written) ? before : written)), [written]);
  const write = (next: string): void => {
    setText(next);
    if (next.trim() === "") {
      setBroken(false);
      return set(undefined);
    }
    try {
      set(JSON.parse(next));
      setBroken(false);
    } catch {
      setBroken(true);
    }
  };
  return (
    <>
      <textarea {...common} aria-invalid={isBroken || common["aria-invalid"]} rows={Math.min(14, Math.max(3, text.split("\n").length))} spellCheck={false} placeholder={standard === undefined ? "JSON" : JSON.stringify(standard)} value={text} onChange={(event) => write(event.target.value)} />
      {isBroken ? <span className="problem">This is not JSON yet; what was right before still holds.</span> : null}
    </>
  );
}

function same(text: string, written: string): boolean {
  try {
    return JSON.stringify(JSON.parse(text)) === JSON.stringify(JSON.parse(written || "null"));
  } catch {
    return written === "" || text !== "";
  }
}

function Variants({ property, root, path, editing }: { property: Property; root: Schema; path: readonly string[]; editing: Editing }) {
  const id = useId();
  if (property.field.kind !== "variants") return null;
  const { by, variants } = property.field;
  const held = at(editing.document, path) as Document | undefined;
  const standard = editing.standard?.(path) as Document | undefined;
  const chosen = String(held?.[by] ?? "");
  const variant = variants[chosen];
  const whole = editing.problems.filter((problem) => problem.path === ["spec", ...path].join("."));
  return (
    <fieldset style={{ gridColumn: "1 / -1" }} className="stack">
      <div className="fields">
        <div className="field">
          <label htmlFor={id}>{labelOf(property.name)}</label>
          <select id={id} value={chosen} onChange={(event) => editing.change(path, event.target.value ? { [by]: event.target.value } : undefined)}>
            <option value="">{`${variantName(property.name, String(standard?.[by] ?? "none"))} (default)`}</option>
            {Object.keys(variants).map((each) => (
              <option key={each} value={each}>
                {variantName(property.name, each)}
              </option>
            ))}
          </select>
          <Problems id={`${id}-problem`} problems={whole} />
        </div>
      </div>
      {variant ? <SchemaFields schema={variant} root={root} path={path} editing={{ ...editing, problems: editing.problems.map((problem) => withoutVariant(problem, path, chosen)) }} except={[by]} /> : null}
    </fieldset>
  );
}

const variantName = (name: string, value: string): string => VARIANTS[name]?.[value] ?? value.replaceAll("_", " ");

/** A path may name the variant between its field and the fields inside: execution.slippage.ticks.ticks. */
function withoutVariant(problem: FieldProblem, path: readonly string[], variant: string): FieldProblem {
  const before = ["spec", ...path, variant].join(".");
  return problem.path.startsWith(`${before}.`) ? { ...problem, path: ["spec", ...path].join(".") + problem.path.slice(before.length) } : problem;
}
