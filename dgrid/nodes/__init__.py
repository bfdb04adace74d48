"""Acting on many nodes: links, engines, start, attach, supervise, teardown."""
