// Where we are, in the address after `#`: a path and its parameters. The server only ever serves one page.
import { useSyncExternalStore } from "react";

export interface Place {
  path: string;
  parameters: URLSearchParams;
}

let cachedHash: string | null = null;
let cachedPlace: Place = { path: "/", parameters: new URLSearchParams() };

export function read(hash: string): Place {
  const [path, query] = hash.replace(/^#/, "").split("?", 2);
  return { path: path || "/", parameters: new URLSearchParams(query ?? "") };
}

function current(): Place {
  if (location.hash !== cachedHash) {
    cachedHash = location.hash;
    cachedPlace = read(cachedHash);
  }
  return cachedPlace;
}

function subscribe(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

export const usePlace = (): Place => useSyncExternalStore(subscribe, current);

export function address(path: string, parameters: Record<string, string | null | undefined> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value) query.set(name, value);
  const text = query.toString();
  return `#${path}${text ? `?${text}` : ""}`;
}

export function go(target: string): void {
  location.hash = target;
}

/** Change parameters of this place; what is empty goes. `replace`: without a step in the history. */
export function adjust(changes: Record<string, string | null>, replace = true): void {
  const { path, parameters } = current();
  const next = Object.fromEntries(parameters);
  const target = address(path, { ...next, ...changes });
  if (!replace) return go(target);
  history.replaceState(null, "", target);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export const backtestAddress = (id: string, parameters: Record<string, string | null> = {}): string => address(`/backtests/${encodeURIComponent(id)}`, parameters);
