"""axe in a page: what it finds wrong with the page as it is now."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from playwright.async_api import Page

# As an init script: a page of a strict policy lets no other in.
AXE: Final = Path(__file__).parents[2] / "api/web/node_modules/axe-core/axe.min.js"


async def violations(page: Page) -> list[str]:
    """Each as its rule, and where it was found first."""
    report = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [f"{each['id']}: {each['nodes'][0]['html']} {each['nodes'][0]['failureSummary']}" for each in report["violations"]]
