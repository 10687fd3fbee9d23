// One event stream for all pages of one browser: a browser opens six connections to a host at most, and a stream holds one for
// good. The hub joins what its listeners want, keeps one stream open for it, and hands every event to all of them. It runs in a
// SharedWorker, or in the page where there is none.

export interface Want {
  /** The rows of all backtests that change, of those that one may see. */
  changes: boolean;
  /** Backtests to follow closely. */
  followed: readonly string[];
}

export type Message =
  | { kind: "event"; type: string; data: unknown }
  | { kind: "state"; state: "connecting" | "open" | "broken" };

export type Listener = (message: Message) => void;

const EVENT_TYPES = ["rows", "reload", "lag", "state", "fills", "positions", "equity", "end"] as const;
const SETTLE_MILLISECONDS = 60; // pages change what they want in bursts: a new stream only after the last of them
const RETRY_MILLISECONDS = 2_000;

export function joined(wants: Iterable<Want>): Want {
  const all = [...wants];
  return { changes: all.some((want) => want.changes), followed: [...new Set(all.flatMap((want) => want.followed))].sort() };
}

/** reached : how far this hub has been told of each backtest, as the stream's ids say it; the others are told from now on */
export function streamAddress({ changes, followed }: Want, reached: ReadonlyMap<string, string>): string {
  const parameters = new URLSearchParams({ changes: String(changes) });
  for (const id of followed) parameters.append("ids", reached.has(id) ? `${id}@${reached.get(id)}` : id);
  return `/api/stream?${parameters}`;
}

/** The id of an event says how far each followed backtest was told: "a@1200-300 b@17-4". */
export function readIds(text: string): [string, string][] {
  return text
    .split(" ")
    .map((part): [string, string] => [part.slice(0, part.lastIndexOf("@")), part.slice(part.lastIndexOf("@") + 1)])
    .filter(([id, cursor]) => id !== "" && cursor !== "");
}

export class Hub {
  private readonly wants = new Map<Listener, Want>();
  private source: EventSource | null = null;
  private openKey = "";
  private reached = new Map<string, string>();
  private timer: ReturnType<typeof setTimeout> | null = null;
  private state: "connecting" | "open" | "broken" = "connecting";

  want(listener: Listener, want: Want): void {
    if (!this.wants.has(listener)) listener({ kind: "state", state: this.state });
    this.wants.set(listener, want);
    this.settle(SETTLE_MILLISECONDS);
  }

  leave(listener: Listener): void {
    this.wants.delete(listener);
    this.settle(SETTLE_MILLISECONDS);
  }

  private settle(wait: number): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), wait);
  }

  private open(): void {
    this.timer = null;
    if (this.wants.size === 0) {
      this.source?.close();
      this.source = null;
      this.openKey = "";
      return;
    }
    const want = joined(this.wants.values());
    const key = JSON.stringify(want);
    if (this.source && key === this.openKey && this.source.readyState !== EventSource.CLOSED) return;
    this.source?.close();
    this.openKey = key;
    for (const id of this.reached.keys()) if (!want.followed.includes(id)) this.reached.delete(id);
    const address = streamAddress(want, this.reached);
    const source = new EventSource(address);
    this.source = source;
    source.onopen = () => this.tell("open");
    source.onerror = () => {
      this.tell("broken");
      // The browser tries again by itself unless the answer was an error: then it is for us to do.
      if (source.readyState === EventSource.CLOSED && source === this.source) this.settle(RETRY_MILLISECONDS);
    };
    for (const type of EVENT_TYPES) {
      source.addEventListener(type, (event) => {
        for (const [id, cursor] of readIds(event.lastEventId)) if (want.followed.includes(id)) this.reached.set(id, cursor);
        this.hand({ kind: "event", type, data: JSON.parse(event.data as string) });
      });
    }
  }

  private tell(state: "connecting" | "open" | "broken"): void {
    this.state = state;
    this.hand({ kind: "state", state });
  }

  private hand(message: Message): void {
    for (const listener of this.wants.keys()) listener(message);
  }
}
