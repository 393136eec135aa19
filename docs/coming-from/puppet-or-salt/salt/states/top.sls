base:
  'role:web':
    - match: grain
    - app
