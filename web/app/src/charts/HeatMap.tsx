// Returns month by month. The colour says what the number says; nobody needs it to read the table.
import type { MonthlyTable } from "../api/client";
import { percent, UNDEFINED } from "../format/numbers";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const STRONG = 0.1; // a month's return that gets the full colour

function Cell({ value, isTotal }: { value: number | null; isTotal?: boolean }) {
  const name = isTotal ? "total" : undefined;
  if (value === null) return <td className={name}><span className="muted">{UNDEFINED}</span></td>;
  const share = Math.round(Math.min(1, Math.abs(value) / (isTotal ? 3 * STRONG : STRONG)) * 100);
  const tone = value >= 0 ? "gain" : "loss";
  return (
    <td className={name} style={{ background: `color-mix(in srgb, var(--${tone}-soft) ${share}%, transparent)` }}>
      <span className="number">{percent(value)}</span>
    </td>
  );
}

export function HeatMap({ data }: { data: MonthlyTable }) {
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Monthly returns">
      <table className="heat">
        <caption className="visually-hidden">Returns by month, UTC calendar</caption>
        <thead>
          <tr>
            <th scope="col">Year</th>
            {MONTHS.map((month) => (
              <th key={month} scope="col">
                {month}
              </th>
            ))}
            <th scope="col">Whole year</th>
          </tr>
        </thead>
        <tbody>
          {data.years.map((year, index) => (
            <tr key={year}>
              <th scope="row">{year}</th>
              {MONTHS.map((month, position) => (
                <Cell key={month} value={data.months[index]?.[position] ?? null} />
              ))}
              <Cell value={data.totals[index] ?? null} isTotal />
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
