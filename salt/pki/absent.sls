# Removes this node's keys and certificates, and the authorities' certificates it held.
{%- set files = [] %}
{%- for policy in pillar['kaas']['certificates'].values() %}
{%- do files.extend([policy['cert'], policy['key'], policy['ca_file']]) %}
{%- endfor %}
{%- for file in files | unique | sort %}
{{ file }} is gone:
  file.absent:
    - name: {{ file }}
{%- endfor %}
