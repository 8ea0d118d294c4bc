"""Talking to the study server: messages with retries, files in pieces."""
