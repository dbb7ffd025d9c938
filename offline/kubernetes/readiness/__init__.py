"""When an object counts as ready, by kind: decisions on plain objects."""
