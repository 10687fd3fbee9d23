// Rows that come in pages, the following ones when the reader comes near the end. A refresh reads the first page again and puts
// it over what is loaded, so that a live table keeps its place; rows further down are asked for again as they are reached.
import { useCallback, useEffect, useRef, useState } from "react";
import { get, type Page } from "./client";
import { useThrottled } from "./resource";

export interface Rows<Row> {
  items: readonly Row[];
  error: unknown;
  isLoading: boolean;
  hasMore: boolean;
  more: () => void;
  refresh: () => void;
  /** Put what changed over the rows that are loaded. */
  patch: (changed: readonly Row[]) => void;
}

interface Loaded<Row> {
  address: string;
  pages: { items: Row[]; next: string | null }[];
  error?: unknown;
}

const REFRESHED_APART = 1_500; // milliseconds
const REFRESHED_PAGES = 3; // of a live table at most: further down, rows keep what they said when they were loaded

export function useRows<Row>(keyOf: (row: Row) => string | number, address: string | null): Rows<Row> {
  const key = useRef(keyOf);
  const [loaded, setLoaded] = useState<Loaded<Row>>({ address: "", pages: [] });
  const current = useRef(loaded);
  current.current = loaded;
  const busy = useRef(false);

  const read = useCallback(
    async (from: string, cursor: string | null, signal?: AbortSignal): Promise<Page<Row>> => get<Page<Row>>(cursor === null ? from : `${from}${from.includes("?") ? "&" : "?"}after=${encodeURIComponent(cursor)}`, signal),
    [],
  );
  useEffect(() => {
    if (address === null) return;
    const control = new AbortController();
    read(address, null, control.signal).then(
      (page) => setLoaded({ address, pages: [{ items: page.items, next: page.next_cursor }] }),
      (error: unknown) => control.signal.aborted || setLoaded({ address, pages: [], error }),
    );
    return () => control.abort();
  }, [address, read]);

  const more = useCallback(async () => {
    const { address: at, pages } = current.current;
    const next = pages[pages.length - 1]?.next;
    if (!next || busy.current) return;
    busy.current = true;
    try {
      const page = await read(at, next);
      setLoaded((before) => (before.address === at ? { ...before, pages: [...before.pages, { items: page.items, next: page.next_cursor }] } : before));
    } catch (error) {
      setLoaded((before) => ({ ...before, error }));
    } finally {
      busy.current = false;
    }
  }, [read]);

  const refresh = useThrottled(
    useCallback(async () => {
      const { address: at, pages } = current.current;
      if (!at || busy.current) return;
      busy.current = true;
      try {
        const fresh: Loaded<Row>["pages"] = [];
        let cursor: string | null = null;
        for (let index = 0; index < Math.max(1, Math.min(pages.length, REFRESHED_PAGES)); index++) {
          const page: Page<Row> = await read(at, cursor);
          fresh.push({ items: page.items, next: page.next_cursor });
          cursor = page.next_cursor;
          if (cursor === null) break;
        }
        setLoaded((before) => (before.address === at ? { address: at, pages: cursor === null ? fresh : [...fresh, ...before.pages.slice(fresh.length)] } : before));
      } catch (error) {
        setLoaded((before) => ({ ...before, error }));
      } finally {
        busy.current = false;
      }
    }, [read]),
    REFRESHED_APART,
  );

  const patch = useCallback((changed: readonly Row[]): void => {
    const news = new Map(changed.map((row) => [key.current(row), row]));
    const merged = (row: Row): Row => news.get(key.current(row)) ?? row;
    setLoaded((before) => ({ ...before, pages: before.pages.map((page) => ({ ...page, items: page.items.map(merged) })) }));
  }, []);

  return {
    items: useJoined(loaded.pages, key.current),
    patch,
    error: loaded.error,
    isLoading: address !== null && loaded.address !== address,
    hasMore: Boolean(loaded.pages[loaded.pages.length - 1]?.next),
    more: useCallback(() => void more(), [more]),
    refresh,
  };
}

/** All pages' rows; a row that moved to an earlier page meanwhile is there once. */
function useJoined<Row>(pages: Loaded<Row>["pages"], keyOf: (row: Row) => string | number): readonly Row[] {
  const held = useRef<{ pages: Loaded<Row>["pages"]; items: readonly Row[] }>({ pages: [], items: [] });
  if (held.current.pages !== pages) {
    const byKey = new Map<string | number, Row>();
    for (const page of pages) for (const row of page.items) if (!byKey.has(keyOf(row))) byKey.set(keyOf(row), row);
    held.current = { pages, items: [...byKey.values()] };
  }
  return held.current.items;
}
