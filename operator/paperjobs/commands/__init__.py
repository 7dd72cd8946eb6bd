"""One module for each subcommand of `paperjobs`, with `main(argv) -> exit code`."""
