// The hub in a SharedWorker. A page that closes can't say so: it holds a lock as long as it lives, and the worker waits for it.
import { Hub, type Listener, type Want } from "./hub";

export type FromPage = { kind: "hello"; lock: string } | { kind: "want"; want: Want } | { kind: "bye" };

const hub = new Hub();

(globalThis as unknown as SharedWorkerGlobalScope).onconnect = (event) => {
  const port = event.ports[0]!;
  const listener: Listener = (message) => port.postMessage(message);
  port.onmessage = ({ data }: MessageEvent<FromPage>) => {
    if (data.kind === "want") hub.want(listener, data.want);
    else if (data.kind === "bye") hub.leave(listener);
    else void navigator.locks.request(data.lock, () => hub.leave(listener));
  };
};
