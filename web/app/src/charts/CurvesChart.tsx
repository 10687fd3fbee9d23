// Several curves over one time line: growth of compared runs, exposure, cash.
import { AreaSeries, LineSeries, PriceScaleMode, type MouseEventParams } from "lightweight-charts";
import { useEffect, useMemo, useState } from "react";
import { format, type Kind } from "../format/numbers";
import { market } from "../format/times";
import { faded } from "./colours";
import { ChartFrame, Key, useChart } from "./frame";
import { nearest } from "./nearest";
import { points } from "./points";

export interface Curve {
  name: string;
  /** A number of the palette's series, or one of its names. */
  colour: number | "exposure" | "accent";
  times: readonly number[];
  values: readonly (number | null)[];
  filled?: boolean;
}

interface Properties {
  curves: Curve[];
  kind: Kind;
  unit?: string;
  days: boolean;
  logarithmic?: boolean;
  description: string;
  size?: string;
}

export function CurvesChart({ curves, kind, unit, days, logarithmic, description, size = "chart-h-240" }: Properties) {
  const { chart, colours, element } = useChart(days);
  const [at, setAt] = useState<number | null>(null);
  const colour = (curve: Curve): string => (colours ? (typeof curve.colour === "number" ? colours.series[curve.colour % colours.series.length]! : colours[curve.colour]) : "gray");

  useEffect(() => {
    if (!chart || !colours) return;
    const made = curves.map((curve) => {
      const line = colour(curve);
      const common = { priceLineVisible: false, lastValueVisible: false, priceFormat: { type: "custom" as const, formatter: (value: number) => format(kind, value), minMove: kind === "count" ? 1 : 0.0001 } };
      const series = curve.filled
        ? chart.addSeries(AreaSeries, { ...common, lineColor: line, topColor: faded(line, 0.35), bottomColor: faded(line, 0.03), lineWidth: 1 })
        : chart.addSeries(LineSeries, { ...common, color: line, lineWidth: 2 });
      series.setData(points(curve.times, curve.values));
      return series;
    });
    chart.timeScale().fitContent();
    const follow = ({ time }: MouseEventParams): void => setAt(time === undefined ? null : Number(time));
    chart.subscribeCrosshairMove(follow);
    return () => {
      chart.unsubscribeCrosshairMove(follow);
      // The chart itself may be gone already: then so are its series.
      try {
        made.forEach((series) => chart.removeSeries(series));
      } catch {
        return;
      }
    };
  }, [chart, colours, curves, kind]);
  useEffect(() => {
    chart?.priceScale("right").applyOptions({ mode: logarithmic ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal });
  }, [chart, logarithmic]);

  const shown = useMemo(
    () =>
      curves.map(({ times, values }) => {
        const index = at === null ? times.length - 1 : nearest(times, at * 1000);
        return { time: times[index], value: values[index] };
      }),
    [curves, at],
  );
  const time = at === null ? shown[0]?.time : at * 1000;
  const legend = (
    <>
      <span className="number">{time === undefined ? "" : market(new Date(time), days)}</span>
      {curves.map((curve, index) => (
        <Key key={curve.name} colour={colour(curve)}>
          {curve.name} <b>{format(kind, shown[index]?.value)}</b> {unit}
        </Key>
      ))}
    </>
  );
  return <ChartFrame element={element} description={description} size={size} legend={legend} />;
}
