"""Rules about a source: its health, its hold-off, when it is probed."""
