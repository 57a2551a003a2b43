# The pods end while all that takes them down is still there: runtime, CNI plug-ins, network.
pods-absent:
  kaas_pods.absent:
    - timeout: 120
