// How far each trade went against, and with, its holder before it ended: MAE and MFE. Wins are filled dots, losses are rings.
import { useRef } from "react";
import { count, money, short } from "../format/numbers";
import { useWidth } from "../width";

export interface ScatterPoint {
  id: number;
  x: number;
  y: number;
  label: string;
}

const FIRST_WIDTH = 680; // until it was measured: the picture is as wide as its frame, so that its words keep their size
const HEIGHT = 300;
const LEFT = 56;
const BOTTOM = 40;
const TOP = 10;
const RIGHT = 14;

/** Round steps of 1, 2, 5 times a power of ten: about `wanted` of them. */
export function ticks(low: number, high: number, wanted = 5): number[] {
  const span = high - low || 1;
  const power = 10 ** Math.floor(Math.log10(span / wanted));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => span / size <= wanted) ?? 10 * power;
  const result: number[] = [];
  for (let index = Math.ceil(low / step); index * step <= high + step * 1e-9; index++) result.push(index * step);
  return result;
}

export function Scatter({ title, xLabel, yLabel, points, currency }: { title: string; xLabel: string; yLabel: string; points: ScatterPoint[]; currency: string }) {
  const frame = useRef<HTMLElement>(null);
  const width = useWidth(frame, FIRST_WIDTH);
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const [xLow, xHigh] = [Math.min(0, ...xs), Math.max(0, ...xs) || 1];
  const [yLow, yHigh] = [Math.min(0, ...ys), Math.max(0, ...ys) || 1];
  const x = (value: number): number => LEFT + ((value - xLow) / (xHigh - xLow || 1)) * (width - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - ((value - yLow) / (yHigh - yLow || 1)) * (HEIGHT - BOTTOM - TOP);
  const wins = points.filter((point) => point.y > 0).length;
  return (
    <figure className="stack" style={{ margin: 0 }} ref={frame}>
      <figcaption>
        <h3>{title}</h3>
      </figcaption>
      <svg className="scatter" viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`${title}: ${count(points.length)} trades, ${count(wins)} with profit`}>
        {ticks(yLow, yHigh).map((value) => (
          <g key={`y${value}`}>
            <line className="rule" x1={LEFT} x2={width - RIGHT} y1={y(value)} y2={y(value)} />
            <text x={LEFT - 6} y={y(value) + 4} textAnchor="end">
              {short(value)}
            </text>
          </g>
        ))}
        {ticks(xLow, xHigh, width < 420 ? 3 : 5).map((value) => (
          <text key={`x${value}`} x={x(value)} y={HEIGHT - BOTTOM + 16} textAnchor="middle">
            {short(value)}
          </text>
        ))}
        <line className="axis" x1={LEFT} x2={width - RIGHT} y1={y(0)} y2={y(0)} />
        {points.map((point) => (
          <circle key={point.id} className={point.y > 0 ? "win" : "lose"} cx={x(point.x)} cy={y(point.y)} r={3.2} opacity={0.75}>
            <title>{`${point.label}: ${xLabel} ${money(point.x)}, ${yLabel} ${money(point.y)} ${currency}`}</title>
          </circle>
        ))}
        <text x={width - RIGHT} y={HEIGHT - 6} textAnchor="end">
          {xLabel}, {currency}
        </text>
        <text x={LEFT} y={TOP - 1} textAnchor="start">
          {yLabel}, {currency}
        </text>
      </svg>
    </figure>
  );
}
