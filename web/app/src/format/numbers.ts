// Numbers as people read them: the same words as the reports and the command line. Undefined is an en dash.

export const UNDEFINED = "–";
// As wide as a plus sign, and never broken from its number; a hyphen is neither.
const MINUS = "−";

export type Nullable = number | null | undefined;
export type Kind = "money" | "percent" | "ratio" | "count" | "quantity" | "price";

const grouped = (value: number, least: number, most: number): string =>
  value.toLocaleString("en-US", { minimumFractionDigits: least, maximumFractionDigits: most });

function signed(value: number, text: string): string {
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

/** 1234567.891 gives 1,234,567.89; what is below a cent keeps four significant digits. */
export function money(value: number): string {
  const size = Math.abs(value);
  if (value !== 0 && size < 0.01) return signed(value, String(Number(size.toPrecision(4))));
  return signed(value, grouped(size, 2, 2));
}

/** 0.1234 gives 12.34%; from ten thousand percent on, no decimals. */
export function percent(value: number): string {
  const shown = Math.abs(value) * 100;
  return signed(value, `${shown >= 10_000 ? grouped(shown, 0, 0) : grouped(shown, 2, 2)}%`);
}

export const ratio = (value: number): string => signed(value, grouped(Math.abs(value), 2, 2));
export const count = (value: number): string => signed(value, grouped(Math.abs(value), 0, 0));
export const quantity = (value: number): string => signed(value, grouped(Math.abs(value), 0, 8));

/** Six significant digits, and cents at least: 1234.5 gives 1,234.50, 0.123456 stays. */
export function price(value: number): string {
  if (value === 0) return "0.00";
  const digits = Math.max(2, 5 - Math.floor(Math.log10(Math.abs(value))));
  return signed(value, grouped(Math.abs(value), 2, Math.min(digits, 10)));
}

/** 1234 gives 1.2 k; for places without room. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size < 1_000) return signed(value, grouped(size, 0, size < 10 ? 1 : 0));
  const [divisor, unit] = size < 1e6 ? [1e3, "k"] : size < 1e9 ? [1e6, "M"] : [1e9, "G"];
  return signed(value, `${grouped(size / divisor, 0, size / divisor < 100 ? 1 : 0)} ${unit}`);
}

/** 1536 gives 1.5 KiB. */
export function bytes(value: number): string {
  if (value < 1024) return `${count(value)} B`;
  const power = Math.min(4, Math.floor(Math.log2(value) / 10));
  return `${grouped(value / 1024 ** power, 0, 1)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

const FORMATS: Record<Kind, (value: number) => string> = { money, percent, ratio, count, quantity, price };

export function format(kind: Kind, value: Nullable): string {
  return value === null || value === undefined || !Number.isFinite(value) ? UNDEFINED : FORMATS[kind](value);
}
