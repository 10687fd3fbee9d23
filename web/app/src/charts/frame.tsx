// A chart of lightweight-charts in React: made once, drawn in the theme's colours, sized by its frame, removed with it.
// The library's own attribution mark needs an inline style and HTML, which our policy forbids: the page's foot carries the notice.
import { createChart, type DeepPartial, type IChartApi, type Time, type TimeChartOptions } from "lightweight-charts";
import { useEffect, useRef, useState, type ReactNode, type RefObject } from "react";
import { local, utcDay } from "../format/times";
import { palette, useTheme, type Palette } from "../theme";

const seconds = (time: Time): Date => new Date(Number(time) * 1000);

function options(colours: Palette, days: boolean): DeepPartial<TimeChartOptions> {
  return {
    autoSize: true,
    layout: {
      background: { color: "transparent" },
      textColor: colours.muted,
      fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, Arial, "DejaVu Sans", sans-serif',
      fontSize: 11,
      attributionLogo: false,
      panes: { separatorColor: colours.grid, separatorHoverColor: colours.grid, enableResize: true },
    },
    grid: { vertLines: { visible: false }, horzLines: { color: colours.grid } },
    rightPriceScale: { borderVisible: false },
    timeScale: { borderColor: colours.grid, timeVisible: !days, minBarSpacing: 0.0001, tickMarkFormatter: tick(days) },
    crosshair: { vertLine: { color: colours.muted, labelBackgroundColor: colours.muted }, horzLine: { color: colours.muted, labelBackgroundColor: colours.muted } },
    localization: { locale: "en-US", timeFormatter: (time: Time) => (days ? utcDay(seconds(time)) : local(seconds(time), false)) },
    handleScale: { axisPressedMouseMove: true },
  };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Years, months, days in UTC where bars are days; else by the viewer's clock. Kinds: 0 year, 1 month, 2 day, 3 and 4 clock. */
function tick(days: boolean) {
  return (time: Time, kind: number): string => {
    const at = seconds(time);
    const [year, month, day] = days ? [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()] : [at.getFullYear(), at.getMonth(), at.getDate()];
    if (kind === 0) return String(year);
    if (kind === 1) return MONTHS[month]!;
    if (kind === 2) return `${day} ${MONTHS[month]!}`;
    return local(at).slice(11, kind === 3 ? 16 : 19);
  };
}

interface Frame {
  chart: IChartApi | null;
  colours: Palette | null;
  element: RefObject<HTMLDivElement | null>;
}

/** The chart is made anew when the theme or the kind of time changes. */
export function useChart(days: boolean): Frame {
  const element = useRef<HTMLDivElement>(null);
  const theme = useTheme();
  const [made, setMade] = useState<{ chart: IChartApi; colours: Palette } | null>(null);
  useEffect(() => {
    if (!element.current) return;
    const colours = palette();
    const chart = createChart(element.current, options(colours, days));
    setMade({ chart, colours });
    return () => {
      setMade(null);
      chart.remove();
    };
  }, [theme, days]);
  return { chart: made?.chart ?? null, colours: made?.colours ?? null, element };
}

/** The frame on the page: what is drawn is said in words as well, for those who don't see it. */
export function ChartFrame({ element, description, size, legend, children }: { element: RefObject<HTMLDivElement | null>; description: string; size: string; legend?: ReactNode; children?: ReactNode }) {
  return (
    <div className="chart">
      {legend ? <div className="legend">{legend}</div> : null}
      <div className={`canvas ${size}`} ref={element} role="img" aria-label={description} />
      {children}
    </div>
  );
}

export function Key({ colour, dashed, children }: { colour: string; dashed?: boolean; children: ReactNode }) {
  return (
    <span className="key">
      <svg width="16" height="8" aria-hidden="true">
        <line x1="0" x2="16" y1="4" y2="4" stroke={colour} strokeWidth="2" strokeDasharray={dashed ? "4 3" : undefined} />
      </svg>
      {children}
    </span>
  );
}

/** A fill among the bars, as the chart draws it. */
export function Arrow({ colour, down, children }: { colour: string; down?: boolean; children: ReactNode }) {
  return (
    <span className="key">
      <svg width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
        <path d={down ? "M3.5 0h3v5H10L5 10 0 5h3.5z" : "M3.5 10h3V5H10L5 0 0 5h3.5z"} fill={colour} />
      </svg>
      {children}
    </span>
  );
}
