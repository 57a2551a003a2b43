# Removes the authorities of every cluster that names this minion as its CA: no certificate of these clusters can be renewed
# or replaced afterwards. Never part of a role; to be applied by hand.
{%- for name in pillar['kaas']['ca']['clusters'] | sort %}
authorities of {{ name }} are gone:
  file.absent:
    - name: /etc/kaas/pki/{{ name }}
{%- else %}
no clusters left:
  test.nop: []
{%- endfor %}
