"""The command line: the only room that reads os.environ, prints and exits."""
