# Removes this node's keys and certificates, and the authorities' certificates it held.
{%- set files = pillar.kaas.authorities.keys() | list %}
{%- for policy in pillar.kaas.certificates.values() %}
{%- do files.extend([policy.cert, policy.key]) %}
{%- endfor %}
{%- for file in files | sort %}
{{ file }} is gone:
  file.absent:
    - name: {{ file }}
{%- endfor %}
