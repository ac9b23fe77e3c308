/** The answer of `/readyz` as a sentence. It is about the parts that the API needs, not about sources or channels. */

export interface Told {
  readonly text: string;
  readonly well: boolean;
}

/** `answer`: null where there was none. */
export async function told(answer: Response | null): Promise<Told> {
  if (answer === null) return { text: "The API does not answer", well: false };
  if (answer.ok) return { text: "Ready: the parts that the API needs answer", well: true };
  const parts = await partsOf(answer);
  const down = Object.entries(parts).map(([part, why]) => `${part}: ${why}`);
  return { text: `Not ready${down.length ? `. ${down.join("; ")}` : ""}`, well: false };
}

async function partsOf(answer: Response): Promise<Readonly<Record<string, string>>> {
  try {
    const problem = (await answer.json()) as { readonly parts?: Readonly<Record<string, string>> };
    return problem.parts ?? {};
  } catch {
    return {};
  }
}
