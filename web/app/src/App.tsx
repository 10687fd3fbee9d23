// The frame around every page: where one is, whether what one sees is live, who one is.
import { lazy, Suspense, useEffect, useRef } from "react";
import { setCsrfToken, type Me } from "./api/client";
import { Problem } from "./api/problem";
import { useResource } from "./api/resource";
import { Empty, Failure, Loading } from "./components/basics";
import { Toasts } from "./components/toasts";
import { Freshness, StaleBanner } from "./live/Freshness";
import { useReconnected } from "./live/stream";
import { MeContext } from "./me";
import { usePlace, type Place } from "./routes";
import { choose, useChoice, type Choice } from "./theme";
import { BacktestsPage } from "./pages/BacktestsPage";

const BacktestPage = lazy(() => import("./pages/BacktestPage"));
const ComparePage = lazy(() => import("./pages/ComparePage"));
const NewPage = lazy(() => import("./pages/NewPage"));
const SystemPage = lazy(() => import("./pages/SystemPage"));

const NAVIGATION = [
  ["/", "Backtests"],
  ["/new", "New backtest"],
  ["/compare", "Compare"],
  ["/system", "System"],
] as const;

export function App() {
  const me = useResource<Me>("/api/me");
  useReconnected(me.reload);
  setCsrfToken(me.value?.csrf_token ?? null);
  const place = usePlace();
  return (
    <>
      <a className="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <header className="top">
        <a className="brand" href="#/">
          <Mark />
          Backtape
        </a>
        <nav className="nav" aria-label="Pages">
          {NAVIGATION.map(([path, name]) => (
            <a key={path} href={`#${path}`} aria-current={isAt(place, path) ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <div className="end">
          {me.value ? <Freshness /> : null}
          {me.value ? (
            <span className="small muted hide-narrow" title={`scopes: ${me.value.scopes.join(", ") || "none"}`}>
              {me.value.name}
            </span>
          ) : null}
          <ThemePicker />
        </div>
      </header>
      <Main place={place}>
        {me.value ? (
          <MeContext value={me.value}>
            <StaleBanner />
            <Suspense fallback={<Loading what="the page" />}>
              <Page place={place} />
            </Suspense>
          </MeContext>
        ) : me.error ? (
          <NoAccess error={me.error} retry={me.reload} />
        ) : (
          <Loading what="Backtape" />
        )}
      </Main>
      <footer className="foot">
        <span>Times are in your zone ({Intl.DateTimeFormat().resolvedOptions().timeZone}); point at one for UTC. Days of the market are dates in UTC.</span>
        <span>
          Charts: TradingView Lightweight Charts™, Copyright © 2025 TradingView, Inc.{" "}
          <a href="https://www.tradingview.com/" rel="noreferrer" target="_blank">
            tradingview.com
          </a>
          , <a href="/NOTICES.txt">notices</a>
        </span>
      </footer>
      <Toasts />
    </>
  );
}

function isAt({ path }: Place, target: string): boolean {
  return target === "/" ? path === "/" || path.startsWith("/backtests/") : path === target;
}

function skip(event: React.MouseEvent): void {
  event.preventDefault(); // the address is for pages
  document.getElementById("main")?.focus();
}

/** A new page begins at its top, and is told to those who hear the page. */
function Main({ place, children }: { place: Place; children: React.ReactNode }) {
  const element = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = titleOf(place);
    if (isFirst.current) {
      isFirst.current = false;
      return;
    }
    scrollTo(0, 0);
    element.current?.focus({ preventScroll: true });
  }, [place.path]);
  return (
    <main id="main" ref={element} tabIndex={-1}>
      {children}
    </main>
  );
}

function titleOf({ path }: Place): string {
  const name = path.startsWith("/backtests/") ? decodeURIComponent(path.slice("/backtests/".length)) : NAVIGATION.find(([target]) => target === path)?.[1];
  return name ? `${name} – Backtape` : "Backtape";
}

function Page({ place }: { place: Place }) {
  const { path, parameters } = place;
  if (path === "/") return <BacktestsPage parameters={parameters} />;
  if (path === "/new") return <NewPage parameters={parameters} />;
  if (path === "/compare") return <ComparePage ids={(parameters.get("ids") ?? "").split(",").filter(Boolean)} />;
  if (path === "/system") return <SystemPage parameters={parameters} />;
  const id = /^\/backtests\/([^/]+)$/.exec(path)?.[1];
  if (id) return <BacktestPage key={id} id={decodeURIComponent(id)} parameters={parameters} />;
  return (
    <Empty isPage title="There is no such page" action={<a className="button" href="#/">All backtests</a>}>
      The address may have been cut off when it was copied.
    </Empty>
  );
}

function NoAccess({ error, retry }: { error: unknown; retry: () => void }) {
  if (Problem.of(error).status !== 401) return <Failure error={error} retry={retry} />;
  return (
    <Empty isPage title="You are not logged in">
      Open a login link: <code>backtape keys login</code> prints one that works once. On a local stack <code>backtape up</code> prints one when it starts.
    </Empty>
  );
}

function ThemePicker() {
  const current = useChoice();
  return (
    <select aria-label="Theme" className="theme" value={current} onChange={(event) => choose(event.target.value as Choice)}>
      <option value="system">Auto</option>
      <option value="light">Light</option>
      <option value="dark">Dark</option>
    </select>
  );
}

function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#1f5fa8" />
      <path d="M6 21l6-7 5 4 9-10" fill="none" stroke="#fff" strokeWidth="3" strokeLinecap="round" strokeLinejoin="round" />
      <path d="M6 26h20" stroke="#9cc6f3" strokeWidth="2" strokeDasharray="3 2.5" />
    </svg>
  );
}
