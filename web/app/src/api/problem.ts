// What the server says when it says no: a problem document (RFC 9457), or what became of the way to it.
import type { components } from "./schema";

type Document = components["schemas"]["Problem"];
export type FieldProblem = components["schemas"]["FieldProblemAnswer"];

export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly fields: FieldProblem[];

  constructor(status: number, title: string, detail = "", fields: FieldProblem[] = []) {
    super(title);
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.fields = fields;
  }

  static fromDocument(status: number, document: Partial<Document>): Problem {
    return new Problem(status, document.title ?? `The server answered ${status}`, document.detail ?? "", document.errors ?? []);
  }

  static of(error: unknown): Problem {
    if (error instanceof Problem) return error;
    if (error instanceof TypeError) {
      return new Problem(0, "The server does not answer", "It may be restarting, or the connection is gone.");
    }
    return new Problem(0, "Something went wrong on this page", error instanceof Error ? error.message : String(error));
  }
}
