"""Builder of the artifact repository. Standard library and PyYAML only: it runs before all else of the project."""
