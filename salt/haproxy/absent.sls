haproxy.service:
  kaas_service.dead

/etc/haproxy/haproxy.cfg:
  file.absent
