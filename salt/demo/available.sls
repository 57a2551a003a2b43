# The front end finds the back end by name, so a cluster without DNS is not waited for a second time.
include:
  - coredns.available
  - demo.deployed

demo-available:
  kaas_object.ready:
    - wait:
        - {kind: Deployment, namespace: demo, name: backend}
        - {kind: Deployment, namespace: demo, name: frontend}
        - {kind: Deployment, namespace: demo, name: frontend-green}
    - timeout: 180
    - require:
        - kaas_object: coredns-available
        - kaas_object: demo-deployed

# The database lies on one worker's disk. While that worker is away the guestbook has no entries, but the cluster is well.
demo-database-available:
  kaas_object.ready:
    - wait:
        - {kind: StatefulSet, namespace: demo, name: database}
    - timeout: 120
    - optional: True
    - require:
        - kaas_object: demo-available
