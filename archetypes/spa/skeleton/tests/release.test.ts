import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { beforeAll, describe, expect, it } from "vitest";
import { application } from "../build/health.ts";

const CONFIGURATION = JSON.parse(readFileSync("public/staticwebapp.config.json", "utf8"));
const target = mkdtempSync(join(tmpdir(), "site-"));

beforeAll(async () => {
  process.env.VERSION = "a".repeat(40);
  await build({ build: { outDir: target, emptyOutDir: true }, logLevel: "silent" });
});

describe("a release", () => {
  it("says what it is", () => {
    const health = JSON.parse(readFileSync(join(target, "health.json"), "utf8"));
    const title = application(readFileSync("index.html", "utf8"));
    expect(health).toEqual({ status: "healthy", application: title, version: process.env.VERSION });
  });

  it("has names that change with their content", () => {
    const names = readdirSync(join(target, "assets"));
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(name).toMatch(/-[\w-]{8}\.(js|css|js\.map)$/);
  });

  it("holds nothing inline that the content security policy forbids", () => {
    const page = readFileSync(join(target, "index.html"), "utf8");
    expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=/);
  });

  it("carries its routes and headers with it", () => {
    expect(JSON.parse(readFileSync(join(target, "staticwebapp.config.json"), "utf8"))).toEqual(CONFIGURATION);
  });
});

describe("routes and headers", () => {
  it("allow what comes from here, and nothing inline", () => {
    const policy: string = CONFIGURATION.globalHeaders["Content-Security-Policy"];
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|data:/);
  });

  it("never keep the page that names the files", () => {
    expect(CONFIGURATION.globalHeaders["Cache-Control"]).toBe("no-cache");
  });

  it("lead pages of the application to it, and missing files to nobody", () => {
    const { rewrite, exclude } = CONFIGURATION.navigationFallback;
    expect(rewrite).toBe("/index.html");
    expect(exclude).toEqual(expect.arrayContaining(["/assets/*", "/*.json"]));
  });
});

describe("the name of the application", () => {
  it("has to be there", () => {
    expect(() => application("<html></html>")).toThrow("no title");
  });
});
