{% set pki = '/etc/kubernetes/pki' %}
include:
  - pki.configured
  # etcdctl, which takes the lock: a master need not be a member.
  - etcd.installed
  - kube-apiserver.installed
  - kube-apiserver.configured

kube-apiserver.service:
  kaas_service.running:
    - inputs:
      - /usr/local/bin/kube-apiserver
      - /etc/systemd/system/kube-apiserver.service
      - /etc/kubernetes/audit-policy.yaml
      - /etc/kubernetes/admission.yaml
      - /etc/kubernetes/encryption.yaml
      - {{ pki }}/sa.key
      - {{ pki }}/sa.pub
      # Serving, client and CA files of the API itself are reloaded by the apiserver; those towards etcd are read once.
      - {{ pki }}/etcd/ca.crt
    - lock: kube-apiserver
    - health: {url: 'https://127.0.0.1:6443/readyz', ca: {{ pki }}/ca.crt}
    - timeout: 300
    - require:
      - sls: pki.configured
      - sls: etcd.installed
      - sls: kube-apiserver.configured
    # Not all that configured.sls writes: a change of authentication.yaml needs no restart.
    - watch:
      - sls: kube-apiserver.installed
      - file: /etc/systemd/system/kube-apiserver.service
      - file: /etc/kubernetes/audit-policy.yaml
      - file: /etc/kubernetes/admission.yaml
      - file: /etc/kubernetes/encryption.yaml
      - file: {{ pki }}/sa.key
      - file: {{ pki }}/sa.pub
