// What pages use of the live stream: listeners, and whether the connection stands.
import { useEffect, useRef, useSyncExternalStore } from "react";
import { Hub, joined, type Message, type Want } from "./hub";
import type { FromPage } from "./worker";
import workerAddress from "./worker?sharedworker&url";

export interface LiveEvent {
  type: string;
  data: unknown;
}

export interface Connection {
  state: "connecting" | "open" | "broken";
  since: number;
}

const pages = new Map<symbol, { want: Want; listener: (event: LiveEvent) => void }>();
const watchers = new Set<() => void>();
let connection: Connection = { state: "connecting", since: Date.now() };
let send: ((want: Want) => void) | null = null;

function receive(message: Message): void {
  if (message.kind === "state") {
    if (message.state === connection.state) return;
    connection = { state: message.state, since: Date.now() };
    watchers.forEach((watcher) => watcher());
    return;
  }
  for (const { listener } of pages.values()) listener({ type: message.type, data: message.data });
}

/** The address of our own worker, and no other, may be run as code. */
function trusted(address: string): string {
  const policy = globalThis.trustedTypes?.createPolicy("backtape", {
    createScriptURL: (asked) => {
      if (asked !== workerAddress) throw new TypeError(`${asked} is no script of ours`);
      return asked;
    },
  });
  return (policy ? policy.createScriptURL(address) : address) as string;
}

function start(): (want: Want) => void {
  if (typeof SharedWorker === "undefined" || !("locks" in navigator)) return inPage();
  const worker = new SharedWorker(trusted(workerAddress), { type: "module", name: "backtape" });
  const post = (message: FromPage): void => worker.port.postMessage(message);
  worker.port.onmessage = ({ data }: MessageEvent<Message>) => receive(data);
  const lock = `backtape-page-${crypto.randomUUID()}`;
  // Held until the page is gone.
  void navigator.locks.request(lock, () => new Promise(() => undefined));
  post({ kind: "hello", lock });
  let last: Want | null = null;
  addEventListener("pagehide", () => post({ kind: "bye" }));
  addEventListener("pageshow", () => last && post({ kind: "want", want: last }));
  return (want) => {
    last = want;
    post({ kind: "want", want });
  };
}

/** Without a SharedWorker a tab that nobody sees gives its connection back. */
function inPage(): (want: Want) => void {
  const hub = new Hub();
  let last: Want = { changes: false, followed: [] };
  const follow = (): void => (document.hidden ? hub.leave(receive) : hub.want(receive, last));
  document.addEventListener("visibilitychange", follow);
  return (want) => {
    last = want;
    follow();
  };
}

function update(): void {
  send ??= start();
  send(joined([...pages.values()].map((page) => page.want)));
}

/** Hear the stream's events while the component is on the page. */
export function useLive(want: Want, listener: (event: LiveEvent) => void): void {
  const latest = useRef(listener);
  latest.current = listener;
  const key = JSON.stringify(want);
  useEffect(() => {
    const name = Symbol(key);
    pages.set(name, { want: JSON.parse(key) as Want, listener: (event) => latest.current(event) });
    update();
    return () => {
      pages.delete(name);
      update();
    };
  }, [key]);
}

/** Call when the connection stands again after it was broken: what was missed has to be asked for. */
export function useReconnected(action: () => void): void {
  const { state } = useConnection();
  const wasBroken = useRef(false);
  useEffect(() => {
    if (state === "broken") wasBroken.current = true;
    else if (state === "open" && wasBroken.current) {
      wasBroken.current = false;
      action();
    }
  }, [state, action]);
}

export function useConnection(): Connection {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => connection,
  );
}
