// Reads JSON Schema as a form needs it: what kind of field, what choices, what limits. What it does not know is written as JSON.

export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  $ref?: string;
  $defs?: Record<string, Schema>;
  properties?: Record<string, Schema>;
  items?: Schema;
  required?: string[];
  discriminator?: { propertyName: string };
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

export type Field =
  | { kind: "choice"; values: string[] }
  | { kind: "flag" }
  | { kind: "number"; isInteger: boolean; limits: string }
  | { kind: "text" }
  | { kind: "list" }
  | { kind: "group"; schema: Schema }
  | { kind: "variants"; by: string; variants: Record<string, Schema> }
  | { kind: "json" };

export interface Property {
  name: string;
  schema: Schema;
  field: Field;
  isNullable: boolean;
  isRequired: boolean;
  default: unknown;
}

function resolve(schema: Schema, root: Schema): Schema {
  if (!schema.$ref) return schema;
  const { $ref, ...beside } = schema;
  const name = $ref.replace("#/$defs/", "");
  return { ...(root.$defs?.[name] ?? {}), ...beside };
}

/** `X or null` is an X that may be left out. */
function withoutNull(schema: Schema, root: Schema): { inner: Schema; isNullable: boolean } {
  const others = schema.anyOf?.filter((each) => each.type !== "null");
  if (others?.length !== 1 || others.length === schema.anyOf?.length) return { inner: schema, isNullable: false };
  const { anyOf: _, ...beside } = schema;
  return { inner: { ...resolve(others[0]!, root), ...beside }, isNullable: true };
}

function fieldOf(schema: Schema, root: Schema): Field {
  const by = schema.discriminator?.propertyName;
  if (schema.oneOf && by) {
    const variants = schema.oneOf.map((each) => resolve(each, root));
    return { kind: "variants", by, variants: Object.fromEntries(variants.map((each) => [String(each.properties?.[by]?.const), each])) };
  }
  if (schema.enum?.every((each) => typeof each === "string")) return { kind: "choice", values: schema.enum };
  if (schema.type === "boolean") return { kind: "flag" };
  if (schema.type === "integer" || schema.type === "number") return { kind: "number", isInteger: schema.type === "integer", limits: limitsOf(schema) };
  if (schema.type === "string") return { kind: "text" };
  if (schema.type === "array" && schema.items?.type === "string") return { kind: "list" };
  if (schema.type === "object" && schema.properties) return { kind: "group", schema };
  return { kind: "json" };
}

/** {minimum: 1, maximum: 9} gives "1 to 9"; {exclusiveMinimum: 0} gives "above 0". */
export function limitsOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema): string {
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  const parts = [
    exclusiveMinimum === undefined ? null : `above ${exclusiveMinimum}`,
    minimum === undefined ? null : `at least ${minimum}`,
    exclusiveMaximum === undefined ? null : `below ${exclusiveMaximum}`,
    maximum === undefined ? null : `at most ${maximum}`,
  ];
  return parts.filter((part) => part !== null).join(", ");
}

export function propertiesOf(schema: Schema, root: Schema = schema): Property[] {
  return Object.entries(schema.properties ?? {}).map(([name, raw]) => {
    const resolved = resolve(raw, root);
    const { inner, isNullable } = withoutNull(resolved, root);
    return { name, schema: inner, field: fieldOf(inner, root), isNullable, isRequired: schema.required?.includes(name) ?? false, default: resolved.default };
  });
}

export type Document = Record<string, unknown>;

const isDocument = (value: unknown): value is Document => typeof value === "object" && value !== null && !Array.isArray(value);

export function at(document: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, name) => (isDocument(value) ? value[name] : undefined), document);
}

/** The document with the value there; undefined takes it out, and with it what it leaves empty. */
export function put(document: Document, path: readonly string[], value: unknown): Document {
  const [name, ...rest] = path;
  if (name === undefined) return document;
  const { [name]: before, ...others } = document;
  if (rest.length === 0) return value === undefined ? others : { ...document, [name]: value };
  const inner = put(isDocument(before) ? before : {}, rest, value);
  return Object.keys(inner).length === 0 && value === undefined ? others : { ...document, [name]: inner };
}

/** What is in the document and not the same in the defaults: a recorded spec becomes the short one that a person would write. */
export function without(document: Document, defaults: Document): Document {
  const result: Document = {};
  for (const [name, value] of Object.entries(document)) {
    const standard = defaults[name];
    if (isDocument(value) && isDocument(standard) && value["type"] === standard["type"]) {
      const inner = without(value, standard);
      if (Object.keys(inner).length > 0) result[name] = inner;
    } else if (JSON.stringify(value) !== JSON.stringify(standard)) result[name] = value;
  }
  return result;
}

/** Every default that a schema knows. */
export function defaultsOf(schema: Schema, root: Schema = schema): Document {
  const result: Document = {};
  for (const property of propertiesOf(schema, root)) {
    if (property.default !== undefined) result[property.name] = property.default;
    else if (property.field.kind === "group") result[property.name] = defaultsOf(property.field.schema, root);
    else if (property.field.kind === "variants") result[property.name] = { [property.field.by]: "none" };
    else if (property.field.kind === "list") result[property.name] = [];
    else if (property.isNullable) result[property.name] = null;
  }
  return result;
}

/** "1,5" and "abc" are no numbers; what is no number stays text, so that the server can say what is wrong with it. */
export function readNumber(text: string): number | string | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : trimmed;
}

/** "1h, 1d" gives both; nothing gives undefined, which is the default. */
export function readList(text: string): string[] | undefined {
  const words = text.split(",").map((each) => each.trim()).filter(Boolean);
  return words.length > 0 ? words : undefined;
}
