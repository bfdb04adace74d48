"""dgrid: groups of containers in a batch job, as the submitting user, leaving nothing behind."""

__version__ = "1.0.0.dev0"
