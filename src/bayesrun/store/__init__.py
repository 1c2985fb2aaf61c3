"""The files of a study: where they are, how they are written whole, and how they are read back."""
