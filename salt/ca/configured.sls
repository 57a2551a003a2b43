# The authorities of every cluster that names this minion as its CA.
{%- for name in pillar['kaas']['ca']['clusters'] | sort %}
authorities of {{ name }}:
  kaas_ca.present:
    - name: {{ name }}
{%- else %}
no clusters yet:
  test.nop: []
{%- endfor %}
