// Times as people read them: in the viewer's zone, with UTC for those who point at it. A bar of a whole day is a date of the
// market, not a moment: moving it into another zone would show another day.

const two = (value: number): string => String(value).padStart(2, "0");

/** A moment in the viewer's zone: 2026-03-01 14:05:09; `seconds` false leaves them out. */
export function local(value: Date, seconds = true): string {
  const day = `${value.getFullYear()}-${two(value.getMonth() + 1)}-${two(value.getDate())}`;
  return `${day} ${two(value.getHours())}:${two(value.getMinutes())}${seconds ? `:${two(value.getSeconds())}` : ""}`;
}

/** 2026-03-01 14:05:09 UTC */
export function utc(value: Date): string {
  return `${value.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

export const utcDay = (value: Date): string => value.toISOString().slice(0, 10);

export const isMidnight = (value: Date): boolean => value.getTime() % 86_400_000 === 0;

/** Market time: a date where the bars are whole days, else a moment without its zero seconds. */
export function market(value: Date, wholeDays: boolean): string {
  if (wholeDays && isMidnight(value)) return utcDay(value);
  return local(value, value.getUTCSeconds() !== 0);
}

/** Whether a bar of this length spans whole days: 1d, 1w. */
export const spansDays = (timeframe: string | null | undefined): boolean => /^\d+[dwDW]/.test(timeframe ?? "");

/** 75 s gives 1 min 15 s: the two largest units. */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const units: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const whole = Math.round(seconds);
  const first = units.findIndex(([size]) => whole >= size);
  const [size, name] = units[first]!;
  const next = units[first + 1];
  const rest = next ? Math.floor((whole % size) / next[0]) : 0;
  return `${Math.floor(whole / size)} ${name}${next && rest ? ` ${rest} ${next[1]}` : ""}`;
}

/** How long ago, in words that need no second look: just now, 12 s ago, 3 h ago. */
export function ago(value: Date, now: Date): string {
  const seconds = (now.getTime() - value.getTime()) / 1000;
  if (seconds < 5) return "just now";
  for (const [size, name] of [[86_400, "d"], [3_600, "h"], [60, "min"]] as const) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${name} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}
