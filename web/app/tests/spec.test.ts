import { expect, test } from "vitest";
import { copied, python } from "../src/spec/copies";
import { at, defaultsOf, limitsOf, propertiesOf, put, readNumber, without, type Schema } from "../src/spec/schema";

const SCHEMA: Schema = {
  $defs: {
    Account: { type: "object", properties: { cash: { type: "number", default: 100, exclusiveMinimum: 0 }, margin: { anyOf: [{ type: "number" }, { type: "null" }], default: null } } },
    None: { type: "object", properties: { type: { const: "none", type: "string" } } },
    Ticks: { type: "object", properties: { type: { const: "ticks", type: "string" }, ticks: { type: "integer" } } },
  },
  type: "object",
  required: ["name"],
  properties: {
    name: { type: "string" },
    account: { $ref: "#/$defs/Account" },
    slippage: { oneOf: [{ $ref: "#/$defs/None" }, { $ref: "#/$defs/Ticks" }], discriminator: { propertyName: "type" } },
    touch: { enum: ["inclusive", "strict"], type: "string", default: "inclusive" },
  },
};

test("a schema is read as fields", () => {
  const kinds = Object.fromEntries(propertiesOf(SCHEMA).map(({ name, field }) => [name, field.kind]));
  expect(kinds).toEqual({ name: "text", account: "group", slippage: "variants", touch: "choice" });
  const [cash, margin] = propertiesOf(SCHEMA.$defs!["Account"]!, SCHEMA);
  expect(cash).toMatchObject({ default: 100, isNullable: false, field: { kind: "number", limits: "above 0" } });
  expect(margin).toMatchObject({ isNullable: true, field: { kind: "number" } });
});

test("limits are said in words", () => expect(limitsOf({ minimum: 1, exclusiveMaximum: 5 })).toBe("at least 1, below 5"));

test("a value that is taken out takes out what it leaves empty", () => {
  const document = put({ a: { b: { c: 1 } }, d: 2 }, ["a", "b", "c"], undefined);
  expect(document).toEqual({ d: 2 });
  expect(put({}, ["a", "b"], 3)).toEqual({ a: { b: 3 } });
  expect(at({ a: { b: 3 } }, ["a", "b"])).toBe(3);
});

test("a recorded spec becomes the short one that a person would write", () => {
  const recorded = { name: "x", account: { cash: 100, margin: null }, slippage: { type: "ticks", ticks: 2 }, touch: "strict" };
  expect(without(recorded, defaultsOf(SCHEMA))).toEqual({ name: "x", slippage: { type: "ticks", ticks: 2 }, touch: "strict" });
});

test("what is no number stays text, so that the server can say so", () => {
  expect(readNumber(" 1.5 ")).toBe(1.5);
  expect(readNumber("1,5")).toBe("1,5");
  expect(readNumber(" ")).toBeUndefined();
});

test("a spec as Python", () => {
  expect(python({ a: [1, "x"], b: { c: null, d: true } })).toBe('{\n    "a": [1, "x"],\n    "b": {\n        "c": None,\n        "d": True,\n    },\n}');
});

test("a quote in a spec does not end the shell's", () => {
  expect(copied("kafka", { tags: ["it's"] }, "run", null)).toContain("it'\\''s");
});
