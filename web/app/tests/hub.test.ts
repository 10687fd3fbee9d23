import { expect, test } from "vitest";
import { joined, readIds, streamAddress } from "../src/live/hub";

test("what all pages want is wanted once", () => {
  const want = joined([{ changes: false, followed: ["b", "a"] }, { changes: true, followed: ["a"] }]);
  expect(want).toEqual({ changes: true, followed: ["a", "b"] });
});

test("a stream that is opened anew goes on where it was told of each backtest", () => {
  const reached = new Map(readIds("a.b@1200-300 c@17-4"));
  expect(streamAddress({ changes: false, followed: ["a.b", "new"] }, reached)).toBe("/api/stream?changes=false&ids=a.b%401200-300&ids=new");
});

test("an id without a place is none", () => expect(readIds("")).toEqual([]));
