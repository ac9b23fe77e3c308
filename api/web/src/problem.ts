/** The API's refusals: problem documents (RFC 9457). An answer of another form becomes a problem with its status. */
export interface Problem {
  readonly title: string;
  readonly status: number;
  /** Which problem it is: `urn:hls-failover:problem:{name}`. */
  readonly type?: string;
  readonly detail?: string;
  /** The member that cannot be accepted, as its path: `sources[1].url`. */
  readonly field?: string;
  /** What is wrong with that member, for programs: `no-host`. Not every refusal has one. */
  readonly code?: string;
  /** The values that would be accepted, where the code is about a few. */
  readonly allowed?: readonly string[];
  /** Why each source of a channel was refused, by its id. */
  readonly sources?: Readonly<Record<string, string>>;
  /** When to try again, in seconds from now. */
  readonly retry_after_s?: number;
}

/** A request that has failed. `problem.status` is 0 where there was no answer. */
export class Refused extends Error {
  override readonly name = "Refused";

  constructor(readonly problem: Problem) {
    super(problem.detail ? `${problem.title}: ${problem.detail}` : problem.title);
  }
}

/** The problem of a failed answer; never throws. */
export async function problemOf(answer: Response): Promise<Problem> {
  const retry_after_s = Number(answer.headers.get("Retry-After") ?? NaN);
  const more = Number.isFinite(retry_after_s) ? { retry_after_s } : {};
  try {
    const said: unknown = await answer.json();
    if (typeof said === "object" && said !== null && "title" in said && typeof said.title === "string") {
      return { ...(said as Problem), status: answer.status, ...more };
    }
  } catch {
    // not JSON: a proxy's page, for example
  }
  return { title: `The server answered ${answer.status}`, status: answer.status, ...more };
}
