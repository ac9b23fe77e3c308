# ruff: noqa
# mypy: ignore-errors
"""The core of before the states, kept for a comparison."""
