import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { health } from "./build/health.ts";

export default defineConfig({
  plugins: [react(), health()],
  build: { sourcemap: true, assetsInlineLimit: 0 }, // nothing inline: the content security policy allows files only
  test: { environment: "happy-dom", restoreMocks: true, unstubGlobals: true },
});
