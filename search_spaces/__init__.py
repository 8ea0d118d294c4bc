"""Spaces and data files that come with the project: data, no code."""
