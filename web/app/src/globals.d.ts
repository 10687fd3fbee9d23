// What TypeScript's own library does not name yet.

interface TrustedTypePolicyFactory {
  createPolicy(name: string, rules: { createScriptURL: (address: string) => string }): { createScriptURL: (address: string) => unknown };
}

declare var trustedTypes: TrustedTypePolicyFactory | undefined;

interface SharedWorkerGlobalScope {
  onconnect: (event: MessageEvent) => void;
}
