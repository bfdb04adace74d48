"""A user's own images: building them for the cluster, checking them, keeping and pushing them."""
