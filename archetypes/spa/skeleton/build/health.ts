import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

/** The application's name: the title of the page. */
export function application(page: string): string {
  const found = /<title>([^<]+)<\/title>/.exec(page);
  if (!found?.[1]) {
    throw new Error("index.html has no title");
  }
  return found[1];
}

/** Writes health.json, which says what this release is: the platform asks for it after each deployment. */
export function health(): Plugin {
  const document = () =>
    JSON.stringify({
      status: "healthy",
      application: application(readFileSync("index.html", "utf8")),
      version: process.env.VERSION || "development",
    });
  return {
    name: "health",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "health.json", source: document() });
    },
    configureServer(server) {
      server.middlewares.use("/health.json", (_request, response) => {
        response.setHeader("Content-Type", "application/json");
        response.end(document());
      });
    },
  };
}
