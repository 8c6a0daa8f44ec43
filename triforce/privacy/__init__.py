"""What we know of a person: where it lies, how they take it along, and how it is forgotten."""
