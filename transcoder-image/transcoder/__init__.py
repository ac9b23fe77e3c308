"""The agent beside FFmpeg in a session's container: standard library alone, no credential, one exit code per reason."""
