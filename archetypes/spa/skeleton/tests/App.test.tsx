import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { App } from "../src/App";

function answers(documents: Record<string, unknown>, status = 200): void {
  const answer = async (place: string) => new Response(JSON.stringify(documents[place]), { status });
  vi.stubGlobal("fetch", vi.fn(answer));
}

const HEALTH = { status: "healthy", application: "shop", version: "0123456" };

afterEach(cleanup);

describe("the first page", () => {
  it("says what is here", async () => {
    answers({ "/settings.json": { environment: "qa" }, "/health.json": HEALTH });
    render(<App />);
    expect((await screen.findByRole("heading")).textContent).toBe("shop");
    expect(screen.getByText("qa")).toBeTruthy();
    expect(screen.getByText("0123456")).toBeTruthy();
  });

  it("is busy until it knows", () => {
    vi.stubGlobal("fetch", () => new Promise(() => undefined));
    render(<App />);
    expect(screen.getByRole("main").getAttribute("aria-busy")).toBe("true");
  });

  it("says why it cannot be shown", async () => {
    answers({}, 503);
    render(<App />);
    expect((await screen.findByRole("alert")).textContent).toContain("answered 503");
  });

  it("does not guess what a file does not say", async () => {
    answers({ "/settings.json": {}, "/health.json": HEALTH });
    render(<App />);
    expect((await screen.findByRole("alert")).textContent).toBe("/settings.json does not say environment");
  });

  it("shows text as text", async () => {
    answers({ "/settings.json": { environment: "<img src=x>" }, "/health.json": HEALTH });
    render(<App />);
    expect(await screen.findByText("<img src=x>")).toBeTruthy();
  });

  it("is left before the answer without harm", async () => {
    let answer: (response: Response) => void = () => undefined;
    vi.stubGlobal(
      "fetch",
      () =>
        new Promise<Response>((resolve) => {
          answer = resolve;
        }),
    );
    const { unmount } = render(<App />);
    unmount();
    answer(new Response("{}"));
    await Promise.resolve();
    expect(screen.queryByRole("alert")).toBeNull();
  });
});
