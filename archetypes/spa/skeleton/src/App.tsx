import { useEffect, useState } from "react";
import { load, type Release, type Settings } from "./settings";

type State = { kind: "loading" } | { kind: "failed"; why: string } | { kind: "ready"; here: Settings & Release };

/** The first page: which application, which environment, which version. Replace it by what users came for. */
export function App() {
  const [state, setState] = useState<State>({ kind: "loading" });

  useEffect(() => {
    let left = false;
    load().then(
      (here) => {
        if (!left) setState({ kind: "ready", here });
      },
      (error: unknown) => {
        if (!left) setState({ kind: "failed", why: error instanceof Error ? error.message : String(error) });
      },
    );
    return () => {
      left = true;
    };
  }, []);

  switch (state.kind) {
    case "loading":
      return <main aria-busy="true">Loading</main>;
    case "failed":
      return (
        <main>
          <h1>This page could not be loaded</h1>
          <p role="alert">{state.why}</p>
        </main>
      );
    case "ready":
      return (
        <main>
          <h1>{state.here.application}</h1>
          <dl>
            <dt>Environment</dt>
            <dd>{state.here.environment}</dd>
            <dt>Version</dt>
            <dd>{state.here.version}</dd>
          </dl>
        </main>
      );
  }
}
