"""The agent beside FFmpeg in a session's container: standard library alone, none of our credentials (law 8), one exit code per
reason."""
