haproxy:
  pkg.installed
