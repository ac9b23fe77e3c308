"""How fast it is, measured on the real stack: the API, the orchestrator, containers, FFmpeg, the store, and live sources in a
process of their own.

`python -m bench [--runs N] [--only NAME ...] [--markdown FILE]`. Nothing here fails by the clock: a row says whether its goal
was met, and which parts its time consists of. `FAILOVER_...` variables work as everywhere.
"""
