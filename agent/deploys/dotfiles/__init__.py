"""dotfiles: sets of files as they lie in a home, for one user or several."""
