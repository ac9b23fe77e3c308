"""MPEG-TS bytes: cut into segments, dated, described and measured."""
