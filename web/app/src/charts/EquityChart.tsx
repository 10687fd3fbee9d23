// Equity over time, with the benchmark beside it and the drawdown below.
import { BaselineSeries, LineSeries, LineStyle, PriceScaleMode, type ISeriesApi, type MouseEventParams } from "lightweight-charts";
import { useEffect, useMemo, useRef, useState } from "react";
import type { EquityChart as Columns } from "../api/client";
import { count, format, money, percent } from "../format/numbers";
import { market } from "../format/times";
import { faded } from "./colours";
import { ChartFrame, Key, useChart } from "./frame";
import { nearest } from "./nearest";
import { points } from "./points";

interface Properties {
  data: Columns;
  currency: string;
  days: boolean;
  logarithmic: boolean;
  withBenchmark: boolean;
}

interface Lines {
  equity: ISeriesApi<"Line">;
  benchmark: ISeriesApi<"Line">;
  drawdown: ISeriesApi<"Baseline">;
}

const asCount = { type: "custom" as const, formatter: count, minMove: 1 };
const asPercent = { type: "custom" as const, formatter: percent, minMove: 0.0001 };

export function EquityChart({ data, currency, days, logarithmic, withBenchmark }: Properties) {
  const { chart, colours, element } = useChart(days);
  const lines = useRef<Lines | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const hasBenchmark = withBenchmark && data.benchmark !== null;

  useEffect(() => {
    if (!chart || !colours) return;
    const quiet = { priceLineVisible: false, lastValueVisible: false };
    const below = { bottomLineColor: colours.loss, bottomFillColor1: faded(colours.loss, 0.05), bottomFillColor2: faded(colours.loss, 0.4) };
    const above = { topLineColor: colours.loss, topFillColor1: "transparent", topFillColor2: "transparent" };
    const drawdown = chart.addSeries(BaselineSeries, { ...quiet, ...below, ...above, baseValue: { type: "price", price: 0 }, lineWidth: 1, priceFormat: asPercent }, 1);
    const benchmark = chart.addSeries(LineSeries, { ...quiet, color: colours.muted, lineWidth: 1, lineStyle: LineStyle.Dashed, priceFormat: asCount });
    const equity = chart.addSeries(LineSeries, { ...quiet, color: colours.accent, lineWidth: 2, priceFormat: asCount });
    chart.panes()[0]?.setStretchFactor(3);
    chart.panes()[1]?.setStretchFactor(1);
    lines.current = { equity, benchmark, drawdown };
    const follow = ({ time }: MouseEventParams): void => setAt(time === undefined ? null : Number(time));
    chart.subscribeCrosshairMove(follow);
    return () => {
      lines.current = null;
    };
  }, [chart, colours]);

  const curves = useMemo(
    () => ({ equity: points(data.time_ms, data.equity), drawdown: points(data.time_ms, data.drawdown), benchmark: points(data.time_ms, data.benchmark ?? []) }),
    [data],
  );
  useEffect(() => {
    if (!lines.current || !chart) return;
    lines.current.equity.setData(curves.equity);
    lines.current.drawdown.setData(curves.drawdown);
    lines.current.benchmark.setData(hasBenchmark ? curves.benchmark : []);
    chart.timeScale().fitContent();
  }, [chart, curves, hasBenchmark]);
  useEffect(() => {
    chart?.priceScale("right", 0).applyOptions({ mode: logarithmic ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal });
  }, [chart, logarithmic]);

  const index = useMemo(() => (at === null ? data.time_ms.length - 1 : nearest(data.time_ms, at * 1000)), [at, data]);
  const time = data.time_ms[index];
  const legend = (
    <>
      <span className="number">{time === undefined ? "" : market(new Date(time), days)}</span>
      <Key colour={colours?.accent ?? "gray"}>
        Equity <b>{format("money", data.equity[index])}</b> {currency}
      </Key>
      {hasBenchmark ? (
        <Key colour={colours?.muted ?? "gray"} dashed>
          {data.benchmark_symbol} held <b>{format("money", data.benchmark?.[index])}</b> {currency}
        </Key>
      ) : null}
      <Key colour={colours?.loss ?? "gray"}>
        Drawdown <b>{format("percent", data.drawdown[index])}</b>
      </Key>
    </>
  );
  const last = data.equity[data.equity.length - 1];
  const description = `Equity of ${count(data.marks)} marks, from ${format("money", data.equity[0])} to ${last === undefined ? "–" : money(last)} ${currency}; deepest drawdown ${percent(Math.min(0, ...data.drawdown))}`;
  return <ChartFrame element={element} description={description} size="chart-h-360" legend={legend} />;
}
