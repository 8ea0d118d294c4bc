"""Pure: what trials are worth beside each other: means over seeds, places, comparisons, confirmations, stages."""
