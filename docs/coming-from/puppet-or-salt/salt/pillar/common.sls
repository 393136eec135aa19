app:
  port: 8080
  peers: [web1, web2]
  settings: {log: info}
