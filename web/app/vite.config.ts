/// <reference types="vitest/config" />
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** What is bundled keeps its licence and notice: they are served beside it. */
function notices(): Plugin {
  return {
    name: "notices",
    generateBundle(_, bundle) {
      const packages = new Map<string, string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const module of chunk.moduleIds) {
          const found = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(module);
          if (found?.[1]) packages.set(found[1], found[0]);
        }
      }
      const texts = [...packages].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, folder]) => {
        const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf-8")) as { version: string; license: string };
        const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file)).sort();
        const parts = files.map((file) => readFileSync(join(folder, file), "utf-8").replaceAll("\r", "").trim());
        return [`${name} ${version} (${license})`, ...parts].join("\n\n");
      });
      this.emitFile({ type: "asset", fileName: "NOTICES.txt", source: `${[CHARTS_NOTICE, ...texts].join(`\n\n${"-".repeat(80)}\n\n`)}\n` });
    },
  };
}

/** Every text file ends with a line end, as all of the repository's do. */
function lineEnds(): Plugin {
  return {
    name: "line-ends",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        for (const file of Object.values(bundle)) {
          if (file.type === "chunk") file.code = `${file.code.trimEnd()}\n`;
          else file.source = `${(typeof file.source === "string" ? file.source : new TextDecoder().decode(file.source)).trimEnd()}\n`;
        }
      },
    },
  };
}

const SERVICE = process.env["BACKTAPE_WEB"] ?? "http://127.0.0.1:8000"; // while one works on the page: npm run dev

// Its licence asks for this, and for a link to https://www.tradingview.com/, which the foot of every page has.
const CHARTS_NOTICE = `This dashboard contains other projects' code, under their licences below.

TradingView Lightweight Charts™
Copyright (c) 2025 TradingView, Inc. https://www.tradingview.com/`;

// The built files are committed and served under a content security policy of 'self': no inline script, no data: address, no
// preload helper. Names carry the content's hash, so that equal sources give equal bytes and browsers may keep them for ever.
export default defineConfig({
  plugins: [react(), notices(), lineEnds()],
  build: {
    outDir: "../static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: true,
    rollupOptions: { output: { entryFileNames: "assets/[name]-[hash].js", chunkFileNames: "assets/[name]-[hash].js", advancedChunks: { groups: [{ name: "charts", test: /lightweight-charts|fancy-canvas/ }] } } },
  },
  worker: { format: "es", rollupOptions: { output: { entryFileNames: "assets/[name]-[hash].js" } } },
  server: { proxy: { "/api": SERVICE, "/login": SERVICE } },
  test: { include: ["tests/**/*.test.ts"] },
});
