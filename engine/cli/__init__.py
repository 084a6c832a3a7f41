"""The command line: words, colours and exit codes. What commands do lives in `engine.control`."""
