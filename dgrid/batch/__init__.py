"""What each batch system says about the job: id, nodes, variables."""
