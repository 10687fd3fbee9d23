// A run's bars with its fills, trades, stops and limits. The server joins bars where there are more than fit; whoever looks
// closer is sent the single ones.
import { CandlestickSeries, createSeriesMarkers, HistogramSeries, PriceScaleMode, type ISeriesApi, type ISeriesMarkersPluginApi, type LogicalRange, type MouseEventParams, type SeriesMarker, type Time, type UTCTimestamp } from "lightweight-charts";
import { useEffect, useMemo, useRef, useState } from "react";
import type { Candles } from "../api/client";
import { count, format, price } from "../format/numbers";
import { market } from "../format/times";
import type { Palette } from "../theme";
import { faded } from "./colours";
import { Arrow, ChartFrame, Key, useChart } from "./frame";
import { nearest } from "./nearest";
import { Overlay, type Piece } from "./overlay";
import { floorOf, seconds } from "./points";

export interface Span {
  from: number;
  to: number;
}

interface Properties {
  data: Candles;
  days: boolean;
  /** What is to be seen of it; null: all. */
  view: Span | null;
  /** The reader looks elsewhere, or closer, than the data reaches. Milliseconds. */
  onLook: (view: Span, isDetailWanted: boolean) => void;
  showStops: boolean;
  logarithmic: boolean;
}

interface Parts {
  candles: ISeriesApi<"Candlestick">;
  volume: ISeriesApi<"Histogram">;
  markers: ISeriesMarkersPluginApi<Time>;
  overlay: Overlay;
}

const FEW = 220; // joined candles in view: below, single bars are worth asking for
const SETTLE_MILLISECONDS = 220;

export function CandleChart({ data, days, view, onLook, showStops, logarithmic }: Properties) {
  const { chart, colours, element } = useChart(days);
  const parts = useRef<Parts | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const latest = useRef({ data, onLook });
  latest.current = { data, onLook };

  useEffect(() => {
    if (!chart || !colours) return;
    const asPrice = { type: "custom" as const, formatter: price, minMove: 0.00001 };
    const candles = chart.addSeries(CandlestickSeries, { upColor: faded(colours.gain, 0.15), downColor: colours.loss, borderUpColor: colours.gain, borderDownColor: colours.loss, wickUpColor: colours.gain, wickDownColor: colours.loss, priceLineVisible: false, lastValueVisible: false, priceFormat: asPrice });
    const volume = chart.addSeries(HistogramSeries, { color: faded(colours.muted, 0.4), priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false }, 1);
    chart.panes()[0]?.setStretchFactor(5);
    chart.panes()[1]?.setStretchFactor(1);
    const overlay = new Overlay();
    candles.attachPrimitive(overlay);
    parts.current = { candles, volume, overlay, markers: createSeriesMarkers(candles, [], { autoScale: false }) };
    chart.subscribeCrosshairMove(({ time }: MouseEventParams) => setAt(time === undefined ? null : Number(time)));
    let timer: ReturnType<typeof setTimeout> | null = null;
    const look = (range: LogicalRange | null): void => {
      if (timer) clearTimeout(timer);
      if (range) timer = setTimeout(() => report(range, latest.current.data, latest.current.onLook), SETTLE_MILLISECONDS);
    };
    chart.timeScale().subscribeVisibleLogicalRangeChange(look);
    return () => {
      if (timer) clearTimeout(timer);
      parts.current = null;
    };
  }, [chart, colours]);

  useEffect(() => {
    if (!parts.current || !chart || !colours) return;
    const { candles, volume, markers, overlay } = parts.current;
    candles.setData(data.time_ms.map((time, i) => ({ time: seconds(time), open: data.open[i]!, high: data.high[i]!, low: data.low[i]!, close: data.close[i]! })));
    volume.setData(data.time_ms.map((time, i) => ({ time: seconds(time), value: data.volume[i]! })));
    markers.setMarkers(markersOf(data, colours));
    overlay.show(piecesOf(data, colours, showStops));
    if (view && data.time_ms.length > 1) {
      const from = nearest(data.time_ms, view.from);
      const to = Math.max(from + 1, nearest(data.time_ms, view.to));
      chart.timeScale().setVisibleLogicalRange({ from: from - 0.5, to: to + 0.5 });
    } else chart.timeScale().fitContent();
  }, [chart, colours, data, view, showStops]);

  useEffect(() => {
    chart?.priceScale("right", 0).applyOptions({ mode: logarithmic ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal });
  }, [chart, logarithmic]);

  const index = useMemo(() => (at === null ? data.time_ms.length - 1 : nearest(data.time_ms, at * 1000)), [at, data]);
  const time = data.time_ms[index];
  const legend = (
    <>
      <span className="number">{time === undefined ? "" : market(new Date(time), days)}</span>
      {(["open", "high", "low", "close"] as const).map((column) => (
        <span key={column}>
          {column} <b>{format("price", data[column][index])}</b>
        </span>
      ))}
      <span>
        volume <b>{format("count", data.volume[index])}</b>
      </span>
      {data.bars_per_candle > 1 ? <span>{count(data.bars_per_candle)} bars of {data.timeframe} to a candle: zoom in for single ones</span> : null}
      {data.fills.length < data.fills_total ? <span>{count(data.fills.length)} of {count(data.fills_total)} fills are drawn: zoom in for all</span> : null}
      <Arrow colour={colours?.accent ?? "gray"}>bought</Arrow>
      <Arrow colour={colours?.exposure ?? "gray"} down>
        sold
      </Arrow>
      <Key colour={colours?.gain ?? "gray"}>trade with profit</Key>
      <Key colour={colours?.loss ?? "gray"}>with loss</Key>
      {showStops ? (
        <Key colour={colours?.exposure ?? "gray"} dashed>
          stop or limit
        </Key>
      ) : null}
    </>
  );
  const description = `${count(data.bars)} bars of ${data.symbol} with ${count(data.fills_total)} fills; the tables of fills and trades say the same`;
  return <ChartFrame element={element} description={description} size="chart-h-360" legend={legend} />;
}

/** Tell what is looked at when the data at hand does not suffice for it. */
function report(range: LogicalRange, data: Candles, onLook: Properties["onLook"]): void {
  const times = data.time_ms;
  const [first, last] = [times[0], times[times.length - 1]];
  if (first === undefined || last === undefined || times.length < 2 || data.first_ms === null || data.last_ms === null) return;
  const step = (last - first) / (times.length - 1);
  const at = (position: number): number => Math.round(first + position * step);
  const inside = (index: number): number => times[Math.min(times.length - 1, Math.max(0, Math.round(index)))]!;
  const view = { from: range.from < 0 ? at(range.from) : inside(range.from), to: range.to > times.length - 1 ? at(range.to) : inside(range.to) };
  const isDetailWanted = data.bars_per_candle > 1 && range.to - range.from < FEW;
  const reachesOut = (view.from < first && first > data.first_ms) || (view.to > last && last < data.last_ms);
  if (isDetailWanted || reachesOut) onLook(view, isDetailWanted);
}

function snap(data: Candles, time: number): UTCTimestamp {
  return seconds(floorOf(data.time_ms, time) ?? time);
}

const MANY_MARKERS = 400; // beyond, arrows are drawn small
const FEW_MARKERS = 12; // up to here there is room for words beside them

function markersOf(data: Candles, colours: Palette): SeriesMarker<Time>[] {
  const withText = data.fills.length <= FEW_MARKERS;
  return data.fills
    .map((fill): SeriesMarker<Time> => {
      const isBuy = fill.side === "buy";
      const text = withText ? `${isBuy ? "+" : "−"}${format("quantity", fill.quantity)}` : "";
      return { time: snap(data, fill.time_ms), position: isBuy ? "belowBar" : "aboveBar", shape: isBuy ? "arrowUp" : "arrowDown", color: isBuy ? colours.accent : colours.exposure, size: data.fills.length > MANY_MARKERS ? 0.6 : 1, text };
    })
    .sort((a, b) => Number(a.time) - Number(b.time));
}

function piecesOf(data: Candles, colours: Palette, showStops: boolean): Piece[] {
  const end = data.time_ms[data.time_ms.length - 1] ?? 0;
  const trades = data.trades.map((trade): Piece => ({ from: snap(data, trade.opened_ms), fromPrice: trade.average_price, to: snap(data, trade.closed_ms), toPrice: trade.average_close, colour: trade.realized_pnl > 0 ? colours.gain : colours.loss, dashed: false, width: 2 }));
  const stops = !showStops
    ? []
    : data.stops.flatMap((stop): Piece[] => {
        const [from, to] = [snap(data, stop.from_ms), snap(data, stop.to_ms ?? end)];
        return [stop.stop_price, stop.limit_price]
          .filter((level) => level !== null)
          .map((level) => ({ from, fromPrice: level, to, toPrice: level, colour: colours.exposure, dashed: true, width: 1 }));
      });
  return [...stops, ...trades];
}
