app:
  settings: {cache: 64M}
