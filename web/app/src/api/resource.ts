// One answer of the server on the page: asked for when its address changes, asked for again when told so. What was shown stays
// until the new answer is here, so that a live page does not flicker.
import { useCallback, useEffect, useRef, useState } from "react";
import { get } from "./client";

export interface Resource<Value> {
  value: Value | undefined;
  error: unknown;
  isLoading: boolean;
  reload: () => void;
}

interface Held<Value> {
  address: string | null;
  value?: Value;
  error?: unknown;
}

const APART_MILLISECONDS = 700;

/** apart: at least so many milliseconds between two reloads. keep: show the last answer also while that of another address is on its way. */
export function useResource<Value>(address: string | null, { keep = false, apart = APART_MILLISECONDS }: { keep?: boolean; apart?: number } = {}): Resource<Value> {
  const [held, setHeld] = useState<Held<Value>>({ address: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (address === null) return;
    const control = new AbortController();
    get<Value>(address, control.signal).then(
      (value) => setHeld({ address, value }),
      (error: unknown) => {
        if (control.signal.aborted) return;
        setHeld((before) => ({ address, error, ...(before.address === address && before.value !== undefined ? { value: before.value } : {}) }));
      },
    );
    return () => control.abort();
  }, [address, turn]);
  const reload = useThrottled(useCallback(() => setTurn((before) => before + 1), []), apart);
  const isCurrent = held.address === address;
  return {
    value: isCurrent || keep ? held.value : undefined,
    error: isCurrent ? held.error : undefined,
    isLoading: !isCurrent,
    reload,
  };
}

/** At most one call in a while; the last one is never lost. */
export function useThrottled(action: () => void, apart = APART_MILLISECONDS): () => void {
  const state = useRef<{ last: number; timer: ReturnType<typeof setTimeout> | null }>({ last: 0, timer: null });
  const latest = useRef(action);
  latest.current = action;
  useEffect(() => {
    const held = state.current;
    return () => {
      if (held.timer) clearTimeout(held.timer);
      held.timer = null;
    };
  }, []);
  return useCallback(() => {
    const held = state.current;
    if (held.timer) return;
    const wait = Math.max(0, held.last + apart - Date.now());
    held.timer = setTimeout(() => {
      held.timer = null;
      held.last = Date.now();
      latest.current();
    }, wait);
  }, [apart]);
}
