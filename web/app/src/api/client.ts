// Talks to the service: JSON, the session's cookie, the token against forged writes. Types are generated from docs/openapi.json.
import { Problem } from "./problem";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Me = Schemas["Me"];
export type BacktestRow = Schemas["BacktestRow"];
export type BacktestPage = Schemas["BacktestPage"];
export type BacktestCounts = Schemas["BacktestCounts"];
export type BacktestResult = Schemas["BacktestResult"];
export type SymbolStatistics = Schemas["SymbolStatistics"];
export type Audit = Schemas["AuditAnswer"];
export type Strategy = Schemas["StrategyAnswer"];
export type Preset = Schemas["PresetAnswer"];
export type DataSetSummary = Schemas["DataSetSummary"];
export type DataSet = Schemas["DataSetAnswer"];
export type Validation = Schemas["Validation"];
export type RunAccepted = Schemas["RunAccepted"];
export type EquityChart = Schemas["EquityChart"];
export type Candles = Schemas["Candles"];
export type MonthlyTable = Schemas["MonthlyTable"];
export type Comparison = Schemas["Comparison"];
export type Position = Schemas["Position"];
export type PositionSummary = Schemas["PositionSummary"];
export type Trade = Schemas["Trade"];
export type Fill = Schemas["Fill"];
export type Order = Schemas["Order"];
export type EventPage = Schemas["EventPage"];
export type LogEvent = Schemas["Event"];
export type Replay = Schemas["ReplayAnswer"];
export type System = Schemas["SystemAnswer"];
export type DeadLetter = Schemas["DeadLetter"];
export type DeadLetterText = Schemas["DeadLetterText"];
export type CommandRow = Schemas["CommandRow"];
export type QuarantineRow = Schemas["QuarantineRow"];

export interface Page<Row> {
  items: Row[];
  next_cursor: string | null;
}

export const STATUSES = ["queued", "running", "completed", "cancelled", "failed"] as const;
export const isOver = (status: string): boolean => status === "completed" || status === "cancelled" || status === "failed";

let csrfToken: string | null = null;

/** Of a browser's session; every write carries it. */
export function setCsrfToken(token: string | null): void {
  csrfToken = token;
}

type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

/** A path with its parameters; a list is repeated, what is empty is left out. */
export function url(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    if (typeof value === "object") value.forEach((each) => parameters.append(name, each));
    else parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

export const backtestPath = (id: string, rest = ""): string => `/api/backtests/${encodeURIComponent(id)}${rest}`;
export const taskPath = (id: string): string => `/api/backtests/tasks/${encodeURIComponent(id)}`;

export function get<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
  return request("GET", path, undefined, signal);
}

export function send<Answer>(method: "POST" | "DELETE", path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return request(method, path, body, undefined, headers);
}

export function upload<Answer>(path: string, file: Blob, type: string): Promise<Answer> {
  return request("POST", path, file, undefined, { "Content-Type": type });
}

async function request<Answer>(method: string, path: string, body?: unknown, signal?: AbortSignal, more: Record<string, string> = {}): Promise<Answer> {
  const headers: Record<string, string> = { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...more };
  if (method !== "GET" && csrfToken) headers["X-CSRF-Token"] = csrfToken;
  const response = await fetch(path, {
    method,
    headers,
    credentials: "same-origin",
    ...(body === undefined ? {} : { body: body instanceof Blob ? body : JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  });
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as Answer;
  throw await problem(response);
}

async function problem(response: Response): Promise<Problem> {
  const text = await response.text();
  try {
    return Problem.fromDocument(response.status, JSON.parse(text) as object);
  } catch {
    return new Problem(response.status, `The server answered ${response.status}`, text.slice(0, 300));
  }
}
