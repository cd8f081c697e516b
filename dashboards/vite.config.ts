import { defineConfig } from "vitest/config";
import solid from "vite-plugin-solid";

// Everything from our own origin, nothing inline, no markup from text: the server's content security policy allows no more.
export default defineConfig({
  plugins: [solid({ solid: { moduleName: "mihari-runtime" } })],
  resolve: { alias: { "mihari-runtime": "/src/runtime.ts" } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
