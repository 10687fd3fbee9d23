// What the room allows: the width of an element, and whether this is a phone's screen.
import { useEffect, useState, useSyncExternalStore, type RefObject } from "react";

/** The width of an element in pixels as it is laid out; `first` until it was measured. */
export function useWidth(element: RefObject<HTMLElement | null>, first: number): number {
  const [width, setWidth] = useState(first);
  useEffect(() => {
    if (!element.current) return;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.round(entry.contentRect.width)));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return width;
}

const narrow = (): MediaQueryList => matchMedia("(max-width: 760px)"); // the same as in the style sheet

function subscribe(listener: () => void): () => void {
  const asked = narrow();
  asked.addEventListener("change", listener);
  return () => asked.removeEventListener("change", listener);
}

export const useIsNarrow = (): boolean => useSyncExternalStore(subscribe, () => narrow().matches);
