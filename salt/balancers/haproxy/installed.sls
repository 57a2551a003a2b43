include:
  - haproxy.installed

# Under a name of its own: keepalived looks for each of the two by name, and the API's address must not depend on this one.
/usr/local/libexec/kaas-balancer:
  file.symlink:
    - target: /usr/sbin/haproxy
    - makedirs: True
    - require:
      - sls: haproxy.installed
