keepalived.service:
  kaas_service.dead

/etc/keepalived/keepalived.conf:
  file.absent
