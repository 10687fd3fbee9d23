// Specs that this browser keeps by a name, to begin from.
import type { Document } from "./schema";

const KEY = "backtape-templates";

export function templates(): Record<string, Document> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") as Record<string, Document>;
  } catch {
    return {};
  }
}

export function keep(name: string, spec: Document): Record<string, Document> {
  return store({ ...templates(), [name]: spec });
}

export function drop(name: string): Record<string, Document> {
  const { [name]: _, ...others } = templates();
  return store(others);
}

function store(all: Record<string, Document>): Record<string, Document> {
  localStorage.setItem(KEY, JSON.stringify(all));
  return all;
}
