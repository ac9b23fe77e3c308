"""Segments, playlists and the log on their way to the store."""
