"""Drop-in replacements for other libraries' loaders: only an import line changes."""
