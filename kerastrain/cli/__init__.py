"""The command line: thin, and without TensorFlow until there is work for it."""
