# Each program of the control plane runs as an account of its own, and a key belongs to the account that reads it (PURPOSES in
# _utils/kaas_pki.py). node.absent leaves accounts alone: what is left of their files (data, logs, backups) keeps its owner.
{% for name in pillar.kaas.certificates.values() | map(attribute='owner') | unique | sort if name != 'root' %}
account {{ name }}:
  user.present:
    - name: {{ name }}
    - system: True
    - usergroup: True
    - home: /nonexistent
    - createhome: False
    - shell: /usr/sbin/nologin
{% endfor %}
