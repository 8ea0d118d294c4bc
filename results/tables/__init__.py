"""Rankings and comparisons as text: terminal, Markdown, CSV, HTML."""
