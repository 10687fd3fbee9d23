// A table that stays quick with a hundred thousand rows: only what is in view is in the page. It is an ordinary HTML table, so
// that screen readers know it; rows say their index in the whole. Sorting is the server's where `onSort` is given, else its own.
import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from "react";

export interface Column<Row> {
  id: string;
  header: string;
  unit?: string;
  title?: string;
  right?: boolean;
  width?: number;
  cell: (row: Row) => ReactNode;
  /** What is sorted by; a column without it can't be sorted by. */
  sort?: (row: Row) => string | number | boolean | null | undefined;
  foot?: ReactNode;
}

export interface Sorting {
  column: string;
  descending: boolean;
}

interface Properties<Row> {
  label: string;
  columns: Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string | number;
  /** Of all rows, where there are more than those at hand. */
  total?: number | undefined;
  sorting?: Sorting | null;
  onSort?: (sorting: Sorting) => void;
  selected?: ReadonlySet<string>;
  onSelect?: (key: string, range: boolean) => void;
  onSelectAll?: () => void;
  onOpen?: (row: Row) => void;
  /** The row to bring into view when it changes. */
  reveal?: string;
  /** Called when the end of the rows at hand comes near. */
  onEnd?: (() => void) | undefined;
  empty?: ReactNode;
}

const ROW_HEIGHT = 35; // pixels, border inside; the style sheet sets 34 and the border
const NEAR_END = 30; // rows

export function DataTable<Row>(properties: Properties<Row>) {
  const { columns, rows, rowKey, total, onSort, selected, onSelect, onSelectAll, onOpen, onEnd } = properties;
  const frame = useRef<HTMLDivElement>(null);
  const [own, setOwn] = useState<Sorting | null>(null);
  const sorting = onSort ? (properties.sorting ?? null) : own;
  const sorted = useMemo(() => (onSort || !own ? rows : sortRows(rows, columns, own)), [rows, columns, own, onSort]);

  const virtual = useVirtualizer({
    count: sorted.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    initialRect: { width: 1200, height: 700 },
  });
  const items = virtual.getVirtualItems();
  const first = items[0];
  const last = items[items.length - 1];
  const before = first?.start ?? 0;
  const after = virtual.getTotalSize() - (last?.end ?? 0);

  const { reveal } = properties;
  const revealed = reveal === undefined ? -1 : sorted.findIndex((row) => String(rowKey(row)) === reveal);
  useEffect(() => {
    if (revealed >= 0) virtual.scrollToIndex(revealed, { align: "center" });
  }, [revealed, virtual]);

  const isNearEnd = last !== undefined && last.index >= sorted.length - NEAR_END;
  useEffect(() => {
    if (isNearEnd) onEnd?.();
  }, [isNearEnd, onEnd, sorted.length]);

  const sortBy = (column: Column<Row>): void => {
    const descending = sorting?.column === column.id ? !sorting.descending : column.right === true;
    (onSort ?? setOwn)({ column: column.id, descending });
  };
  const move = useCallback((event: React.KeyboardEvent<HTMLTableRowElement>) => {
    const step = event.key === "ArrowDown" ? "nextElementSibling" : event.key === "ArrowUp" ? "previousElementSibling" : null;
    if (!step || event.target !== event.currentTarget) return;
    event.preventDefault();
    const next = event.currentTarget[step];
    if (next instanceof HTMLElement && next.tabIndex === 0) next.focus();
  }, []);

  if (rows.length === 0 && properties.empty) return <>{properties.empty}</>;
  const span = columns.length + (onSelect ? 1 : 0);
  const allSelected = selected !== undefined && rows.length > 0 && rows.every((row) => selected.has(String(rowKey(row))));
  return (
    <div className="table-frame" ref={frame} tabIndex={0} role="region" aria-label={label(properties)}>
      <table className="table" aria-rowcount={(total ?? sorted.length) + 1}>
        <caption className="visually-hidden">{properties.label}</caption>
        <thead>
          <tr aria-rowindex={1}>
            {onSelect ? (
              <th scope="col" style={{ width: 36 }}>
                <span>
                  <input type="checkbox" aria-label="Select all rows that are loaded" checked={allSelected} onChange={onSelectAll} />
                </span>
              </th>
            ) : null}
            {columns.map((column) => (
              <Header key={column.id} column={column} sorting={sorting} sortBy={column.sort && sortBy} />
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 ? <Spacer height={before} span={span} /> : null}
          {items.map((item) => {
            const row = sorted[item.index]!;
            const key = String(rowKey(row));
            const isSelected = selected?.has(key) ?? false;
            return (
              <tr
                key={key}
                aria-rowindex={item.index + 2}
                aria-selected={onSelect ? isSelected : undefined}
                className={isSelected ? "selected" : undefined}
                tabIndex={onOpen ? 0 : undefined}
                onKeyDown={(event) => {
                  if (onOpen && event.key === "Enter" && event.target === event.currentTarget) onOpen(row);
                  else move(event);
                }}
              >
                {onSelect ? (
                  <td>
                    <input type="checkbox" aria-label={`Select ${key}`} checked={isSelected} onChange={(event) => onSelect(key, (event.nativeEvent as MouseEvent).shiftKey)} />
                  </td>
                ) : null}
                {columns.map((column) => (
                  <td key={column.id} className={column.right ? "right" : undefined}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            );
          })}
          {after > 0 ? <Spacer height={after} span={span} /> : null}
        </tbody>
        {columns.some((column) => column.foot !== undefined) ? (
          <tfoot>
            <tr>
              {onSelect ? <td /> : null}
              {columns.map((column) => (
                <td key={column.id} className={column.right ? "right" : undefined}>
                  {column.foot}
                </td>
              ))}
            </tr>
          </tfoot>
        ) : null}
      </table>
    </div>
  );
}

function label<Row>({ label: text, rows, total }: Properties<Row>): string {
  return `${text}, ${total ?? rows.length} rows`;
}

function Spacer({ height, span }: { height: number; span: number }) {
  return (
    <tr className="spacer" aria-hidden="true">
      <td colSpan={span} style={{ height }} />
    </tr>
  );
}

function Header<Row>({ column, sorting, sortBy }: { column: Column<Row>; sorting: Sorting | null; sortBy: ((column: Column<Row>) => void) | undefined }) {
  const isSorted = sorting?.column === column.id;
  const words = (
    <>
      {isSorted ? <span aria-hidden="true">{sorting.descending ? "↓" : "↑"}</span> : null}
      {column.header}
      {column.unit ? <span className="unit">{column.unit}</span> : null}
    </>
  );
  return (
    <th
      scope="col"
      className={column.right ? "right" : undefined}
      title={column.title}
      style={column.width ? { width: column.width } : undefined}
      aria-sort={isSorted ? (sorting.descending ? "descending" : "ascending") : undefined}
    >
      {sortBy ? (
        <button type="button" onClick={() => sortBy(column)}>
          {words}
        </button>
      ) : (
        <span>{words}</span>
      )}
    </th>
  );
}

/** What is undefined comes last, whichever way is sorted. */
export function sortRows<Row>(rows: readonly Row[], columns: Column<Row>[], { column: id, descending }: Sorting): Row[] {
  const value = columns.find((column) => column.id === id)?.sort;
  if (!value) return [...rows];
  const direction = descending ? -1 : 1;
  return [...rows].sort((left, right) => {
    const [a, b] = [value(left), value(right)];
    if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
    if (b === null || b === undefined) return -1;
    return a < b ? -direction : a > b ? direction : 0;
  });
}
