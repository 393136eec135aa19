"""files: folders, files, links, lines and blocks of the system, exactly as Git says."""
