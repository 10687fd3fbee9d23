// Which theme is shown: the system's, or the one that was chosen here. Charts are drawn on canvas and need the colours as values.
import { useSyncExternalStore } from "react";

export type Choice = "system" | "light" | "dark";
const KEY = "backtape-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

export function choice(): Choice {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

export function choose(next: Choice): void {
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // Storage may be forbidden: the choice then lasts as long as the page.
  }
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  dark.addEventListener("change", listener);
  return () => {
    listeners.delete(listener);
    dark.removeEventListener("change", listener);
  };
}

const shown = (): "light" | "dark" => {
  const chosen = choice();
  return chosen === "system" ? (dark.matches ? "dark" : "light") : chosen;
};

export const useTheme = (): "light" | "dark" => useSyncExternalStore(subscribe, shown);
export const useChoice = (): Choice => useSyncExternalStore(subscribe, choice);

export interface Palette {
  ink: string;
  muted: string;
  grid: string;
  surface: string;
  accent: string;
  gain: string;
  loss: string;
  exposure: string;
  price: string;
  series: string[];
}

/** Read the colours of the style sheet, so that they stand in one place. */
export function palette(): Palette {
  const probe = document.body.appendChild(document.createElement("span"));
  const colour = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colours = {
    ink: colour("ink"),
    muted: colour("muted"),
    grid: colour("grid"),
    surface: colour("surface"),
    accent: colour("accent"),
    gain: colour("gain"),
    loss: colour("loss"),
    exposure: colour("exposure"),
    price: colour("price"),
    series: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => colour(`series-${number}`)),
  };
  probe.remove();
  return colours;
}
