include:
  - ca.configured
