// From columns to what the chart library wants: seconds that strictly ascend, numbers that are finite.
import type { UTCTimestamp } from "lightweight-charts";

export interface Point {
  time: UTCTimestamp;
  value: number;
}

export const seconds = (milliseconds: number): UTCTimestamp => Math.floor(milliseconds / 1000) as UTCTimestamp;

/** Of several values within one second the last one counts; what is undefined is left out. */
export function points(times: readonly number[], values: readonly (number | null | undefined)[]): Point[] {
  const result: Point[] = [];
  times.forEach((at, index) => {
    const value = values[index];
    if (value === null || value === undefined || !Number.isFinite(value)) return;
    const time = seconds(at);
    if (result[result.length - 1]?.time === time) result.pop();
    result.push({ time, value });
  });
  return result;
}

/** The last of the ascending values that is not above: where inside a joined bar something happened. Below all: the first. */
export function floorOf(ascending: readonly number[], value: number): number | undefined {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return ascending[Math.max(0, low - 1)];
}
