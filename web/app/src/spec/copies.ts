// One spec, four ways to ask for it: as a file, on the command line, from Python, as a message to Kafka.
import type { Document } from "./schema";

export type Form = "json" | "cli" | "python" | "kafka";

export const FORMS: { value: Form; label: string }[] = [
  { value: "json", label: "JSON" },
  { value: "cli", label: "Command line" },
  { value: "python", label: "Python" },
  { value: "kafka", label: "Kafka" },
];

export function copied(form: Form, spec: Document, id: string, command: Document | null): string {
  const json = JSON.stringify(spec, null, 2);
  const name = id || "my-backtest";
  switch (form) {
    case "json":
      return json;
    case "cli":
      return `cat > spec.json <<'JSON'\n${json}\nJSON\nbacktape submit spec.json --id ${name} --wait`;
    case "python":
      return `from backtape import run\n\nspec = ${python(spec)}\n\nresult = run(spec, "s3://backtape")  # in this process; or a folder, or pandas frames\nprint(result.stats["sharpe"])`;
    case "kafka": {
      const line = JSON.stringify(command ?? { type: "SubmitBacktest", command_id: "a new UUID", backtest_id: name, issued_at: "now, RFC 3339", spec });
      return `printf '%s\\t%s\\n' ${name} '${line.replaceAll("'", "'\\''")}' |\n  kcat -P -b localhost:9092 -t backtape.commands -K '\\t' -X partitioner=murmur2_random -X enable.idempotence=true`;
    }
  }
}

/** A value as Python writes it. */
export function python(value: unknown, depth = 0): string {
  const room = "    ".repeat(depth + 1);
  const end = "    ".repeat(depth);
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return value.every((each) => typeof each !== "object") ? `[${value.map((each) => python(each)).join(", ")}]` : `[\n${value.map((each) => `${room}${python(each, depth + 1)},\n`).join("")}${end}]`;
  if (typeof value === "object") {
    const lines = Object.entries(value).map(([name, each]) => `${room}${JSON.stringify(name)}: ${python(each, depth + 1)},\n`);
    return lines.length === 0 ? "{}" : `{\n${lines.join("")}${end}}`;
  }
  return JSON.stringify(value);
}
