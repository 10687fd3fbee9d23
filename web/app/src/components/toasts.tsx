// Short messages at the corner: what was done, or why not. Errors stay until they are closed.
import { useSyncExternalStore } from "react";
import { Problem } from "../api/problem";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const SHOWN_MILLISECONDS = 5_000;
let toasts: readonly Toast[] = [];
let lastId = 0;
const listeners = new Set<() => void>();

function set(next: readonly Toast[]): void {
  toasts = next;
  listeners.forEach((listener) => listener());
}

const close = (id: number): void => set(toasts.filter((toast) => toast.id !== id));

export function say(text: string): void {
  const id = ++lastId;
  set([...toasts, { id, text, bad: false }]);
  setTimeout(() => close(id), SHOWN_MILLISECONDS);
}

export function complain(error: unknown): void {
  const { title, detail, fields } = Problem.of(error);
  const parts = fields.map((field) => `${field.path}: ${field.allowed}`);
  set([...toasts, { id: ++lastId, text: [detail ? `${title}: ${detail}` : title, ...parts].join("\n"), bad: true }]);
}

export function Toasts() {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((toast) => (
        <div key={toast.id} className={`toast${toast.bad ? " bad" : ""}`}>
          <span>{toast.text}</span>
          <button type="button" className="plain" aria-label="Close the message" onClick={() => close(toast.id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}
