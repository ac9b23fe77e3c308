"""Watches a source: how its media arrive, when it has stalled, which of its announced streams are missing."""
