"""Campaigns: studies one after the other, each starting from what the ones before it found."""
