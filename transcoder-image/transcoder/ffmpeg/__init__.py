"""FFmpeg as a child process: its command line, its messages, and one run from start to end."""
