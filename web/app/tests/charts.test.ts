import { expect, test } from "vitest";
import { floorOf, points } from "../src/charts/points";
import { ticks } from "../src/charts/Scatter";
import { nearest } from "../src/charts/nearest";

test("of several marks in one second the last one counts, and undefined ones are left out", () => {
  expect(points([1000, 1500, 2000, 3000], [1, 2, null, 4])).toEqual([{ time: 1, value: 2 }, { time: 3, value: 4 }]);
});

test("what happened inside a joined bar is drawn at that bar", () => {
  expect(floorOf([10, 20, 30], 29)).toBe(20);
  expect(floorOf([10, 20, 30], 30)).toBe(30);
  expect(floorOf([10, 20, 30], 5)).toBe(10);
});

test("the place of a time among ascending ones", () => {
  expect(nearest([10, 20, 30], 15)).toBe(1);
  expect(nearest([10, 20, 30], 99)).toBe(2);
});

test("ticks are round and inside", () => expect(ticks(-130, 420)).toEqual([-0, 200, 400]));
