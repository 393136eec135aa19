"""One module for each tool: how it is installed, how it writes the state, and how it is run."""
