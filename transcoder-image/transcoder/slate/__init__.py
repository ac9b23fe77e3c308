"""The slate: the still picture and the tone that FFmpeg generates while no source works."""
