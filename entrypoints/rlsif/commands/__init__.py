"""What users type. Each module parses, calls and prints; the work is done elsewhere."""
