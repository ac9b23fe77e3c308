/** The start page: it says beside the link how ready the API is. Law: what cannot be asked is not called well. */
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
