include:
  - etcd.installed
  - etcd.configured

etcd.service:
  kaas_service.running:
    - inputs:
      - /usr/local/bin/etcd
      - /etc/systemd/system/etcd.service
      - /etc/etcd/etcd.yaml
      # etcd reads the leaf certificates again at each handshake; only the CA needs a restart.
      - /etc/kubernetes/pki/etcd/ca.crt
    - lock: etcd
    # Healthy means that a quorum answers: a first start waits here for the other members.
    - health: {url: 'http://127.0.0.1:2381/health'}
    - timeout: 300
    - require:
      - sls: pki.configured
    - watch:
      - sls: etcd.installed
      - sls: etcd.configured

etcd-recorded:
  kaas_etcd.recorded:
    - name: {{ pillar.kaas.cluster.name }}
    # A call to the CA minion that nothing here waits for.
    - order: last
    - require:
      - kaas_service: etcd.service
