import { expect, test } from "vitest";
import { ago, duration, market, spansDays, utc } from "../src/format/times";

const at = new Date("2010-01-04T00:00:00Z");

test("a bar of a day is that day, whatever the viewer's zone", () => expect(market(at, true)).toBe("2010-01-04"));

test("UTC is said where it is meant", () => expect(utc(at)).toBe("2010-01-04 00:00:00 UTC"));

test.each([
  ["1d", true],
  ["1w", true],
  ["1h", false],
  ["15m", false],
  [null, false],
])("bars of %s span days: %s", (timeframe, expected) => expect(spansDays(timeframe)).toBe(expected));

test.each([
  [0.25, "250 ms"],
  [7.25, "7.3 s"],
  [75, "1 min 15 s"],
  [3600, "1 h"],
  [90_061, "1 d 1 h"],
])("%s seconds are %s", (seconds, text) => expect(duration(seconds)).toBe(text));

test.each([
  [2, "just now"],
  [42, "42 s ago"],
  [7200, "2 h ago"],
])("%s seconds ago is %s", (seconds, text) => expect(ago(at, new Date(at.getTime() + seconds * 1000))).toBe(text));
