"""Ready scripts for a site's batch system: they call ``dgrid reap`` when a job has ended (docs/epilogues.md)."""
