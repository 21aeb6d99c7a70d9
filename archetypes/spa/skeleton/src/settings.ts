/** What differs between environments. The pipeline writes it beside the files of a release, which stay the same. */
export interface Settings {
  environment: string;
}

/** What is here: written when the site was built. */
export interface Release {
  application: string;
  version: string;
}

async function read(place: string): Promise<Record<string, unknown>> {
  const answer = await fetch(place, { cache: "no-store" });
  if (!answer.ok) {
    throw new Error(`${place} answered ${answer.status}`);
  }
  return (await answer.json()) as Record<string, unknown>;
}

function text(document: Record<string, unknown>, name: string, place: string): string {
  const value = document[name];
  if (typeof value !== "string" || value === "") {
    throw new Error(`${place} does not say ${name}`);
  }
  return value;
}

/** Settings and release of the site that this page came from. Rejects when one of them cannot be read. */
export async function load(): Promise<Settings & Release> {
  const [settings, health] = await Promise.all([read("/settings.json"), read("/health.json")]);
  return {
    environment: text(settings, "environment", "/settings.json"),
    application: text(health, "application", "/health.json"),
    version: text(health, "version", "/health.json"),
  };
}
