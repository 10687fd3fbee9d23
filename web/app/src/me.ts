// Who looks at the page. The server decides what one may do; the page only leaves out what would be refused.
import { createContext, useContext } from "react";
import type { Me } from "./api/client";

export const MeContext = createContext<Me | null>(null);

export function useMe(): Me {
  const me = useContext(MeContext);
  if (me === null) throw new Error("no page is shown before it is known who looks");
  return me;
}

export function useMay(scope: Me["scopes"][number]): boolean {
  const { scopes } = useMe();
  return scopes.includes(scope) || scopes.includes("admin");
}
