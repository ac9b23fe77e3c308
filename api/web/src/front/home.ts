/** The start page's script: shows beside the link whether the API is ready. Rule: without an answer it is not called ready. */
import "./front.css";
import { told } from "./readiness";

const LIMIT_MS = 5_000;
const health = document.getElementById("health");

async function ask(): Promise<void> {
  let answer: Response | null = null;
  try {
    answer = await fetch("readyz", { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(LIMIT_MS) });
  } catch {
    // said below
  }
  const { text, well } = await told(answer);
  if (!health) return;
  health.textContent = text;
  health.dataset["well"] = String(well);
}

void ask();
