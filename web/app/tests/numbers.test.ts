import { expect, test } from "vitest";
import { bytes, format, money, percent, price, short } from "../src/format/numbers";

test.each([
  [1234567.891, "1,234,567.89"],
  [-5, "−5.00"],
  [-0.001234, "−0.001234"],
  [-0, "0.00"],
  [0, "0.00"],
])("money of %s is %s", (value, text) => expect(money(value)).toBe(text));

test.each([
  [0.1234, "12.34%"],
  [-0.2687, "−26.87%"],
  [123.456, "12,346%"], // from ten thousand percent on, no decimals
  [-0.000001, "0.00%"], // nothing is negative that is shown as zero
])("percent of %s is %s", (value, text) => expect(percent(value)).toBe(text));

test.each([
  [1234.5, "1,234.50"],
  [0.123456, "0.123456"],
  [0.00002, "0.00002"],
  [100, "100.00"],
])("price of %s is %s", (value, text) => expect(price(value)).toBe(text));

test.each([
  [999, "999"],
  [1234, "1.2 k"],
  [-2_500_000, "−2.5 M"],
])("short of %s is %s", (value, text) => expect(short(value)).toBe(text));

test("what is undefined is an en dash, also where the number is none", () => {
  expect(format("money", null)).toBe("–");
  expect(format("ratio", Number.NaN)).toBe("–");
});

test("sizes are binary", () => {
  expect(bytes(1023)).toBe("1,023 B");
  expect(bytes(1536)).toBe("1.5 KiB");
});
