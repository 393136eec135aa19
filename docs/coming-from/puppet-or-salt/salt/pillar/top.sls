base:
  '*': [common]
  'role:web':
    - match: grain
    - web
  'web1': [web1]
