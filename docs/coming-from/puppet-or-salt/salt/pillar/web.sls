app: {port: 9090}
