# yaml-language-server: $schema=../data/cluster.schema.json
# One hundred machines in three racks: 3 load balancers, 5 etcd, 3 masters, 89 workers. Survives the loss of two etcd machines, of two load
# balancers, of two masters; and of a rack, since each has at most two of the five etcd machines.
cluster:
  name: large
  kubernetes: "1.36"
  api: {address: 10.20.0.100, port: 6443}
  nodes:
    lb-a: {address: 10.20.1.11, roles: [loadbalancer]}
    lb-b: {address: 10.20.2.11, roles: [loadbalancer]}
    lb-c: {address: 10.20.3.11, roles: [loadbalancer]}
    etcd-a1: {address: 10.20.1.21, roles: [etcd]}
    etcd-a2: {address: 10.20.1.22, roles: [etcd]}
    etcd-b1: {address: 10.20.2.21, roles: [etcd]}
    etcd-b2: {address: 10.20.2.22, roles: [etcd]}
    etcd-c1: {address: 10.20.3.21, roles: [etcd]}
    master-a: {address: 10.20.1.31, roles: [master], labels: {topology.kubernetes.io/zone: a}}
    master-b: {address: 10.20.2.31, roles: [master], labels: {topology.kubernetes.io/zone: b}}
    master-c: {address: 10.20.3.31, roles: [master], labels: {topology.kubernetes.io/zone: c}}
    # rack a
    a01: {address: 10.20.1.101, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a02: {address: 10.20.1.102, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a03: {address: 10.20.1.103, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a04: {address: 10.20.1.104, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a05: {address: 10.20.1.105, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a06: {address: 10.20.1.106, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a07: {address: 10.20.1.107, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a08: {address: 10.20.1.108, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a09: {address: 10.20.1.109, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a10: {address: 10.20.1.110, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a11: {address: 10.20.1.111, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a12: {address: 10.20.1.112, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a13: {address: 10.20.1.113, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a14: {address: 10.20.1.114, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a15: {address: 10.20.1.115, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a16: {address: 10.20.1.116, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a17: {address: 10.20.1.117, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a18: {address: 10.20.1.118, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a19: {address: 10.20.1.119, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a20: {address: 10.20.1.120, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a21: {address: 10.20.1.121, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a22: {address: 10.20.1.122, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a23: {address: 10.20.1.123, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a24: {address: 10.20.1.124, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a25: {address: 10.20.1.125, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a26: {address: 10.20.1.126, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a27: {address: 10.20.1.127, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a28: {address: 10.20.1.128, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a29: {address: 10.20.1.129, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    a30: {address: 10.20.1.130, roles: [worker], labels: {topology.kubernetes.io/zone: a}}
    # rack b
    b01: {address: 10.20.2.101, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b02: {address: 10.20.2.102, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b03: {address: 10.20.2.103, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b04: {address: 10.20.2.104, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b05: {address: 10.20.2.105, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b06: {address: 10.20.2.106, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b07: {address: 10.20.2.107, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b08: {address: 10.20.2.108, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b09: {address: 10.20.2.109, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b10: {address: 10.20.2.110, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b11: {address: 10.20.2.111, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b12: {address: 10.20.2.112, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b13: {address: 10.20.2.113, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b14: {address: 10.20.2.114, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b15: {address: 10.20.2.115, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b16: {address: 10.20.2.116, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b17: {address: 10.20.2.117, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b18: {address: 10.20.2.118, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b19: {address: 10.20.2.119, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b20: {address: 10.20.2.120, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b21: {address: 10.20.2.121, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b22: {address: 10.20.2.122, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b23: {address: 10.20.2.123, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b24: {address: 10.20.2.124, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b25: {address: 10.20.2.125, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b26: {address: 10.20.2.126, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b27: {address: 10.20.2.127, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b28: {address: 10.20.2.128, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b29: {address: 10.20.2.129, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    b30: {address: 10.20.2.130, roles: [worker], labels: {topology.kubernetes.io/zone: b}}
    # rack c
    c01: {address: 10.20.3.101, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c02: {address: 10.20.3.102, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c03: {address: 10.20.3.103, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c04: {address: 10.20.3.104, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c05: {address: 10.20.3.105, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c06: {address: 10.20.3.106, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c07: {address: 10.20.3.107, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c08: {address: 10.20.3.108, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c09: {address: 10.20.3.109, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c10: {address: 10.20.3.110, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c11: {address: 10.20.3.111, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c12: {address: 10.20.3.112, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c13: {address: 10.20.3.113, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c14: {address: 10.20.3.114, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c15: {address: 10.20.3.115, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c16: {address: 10.20.3.116, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c17: {address: 10.20.3.117, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c18: {address: 10.20.3.118, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c19: {address: 10.20.3.119, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c20: {address: 10.20.3.120, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c21: {address: 10.20.3.121, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c22: {address: 10.20.3.122, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c23: {address: 10.20.3.123, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c24: {address: 10.20.3.124, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c25: {address: 10.20.3.125, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c26: {address: 10.20.3.126, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c27: {address: 10.20.3.127, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c28: {address: 10.20.3.128, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
    c29: {address: 10.20.3.129, roles: [worker], labels: {topology.kubernetes.io/zone: c}}
  network:
    nodes: 10.20.0.0/22
    pods: 10.128.0.0/14  # a /24 for each node: room for 1024
    services: 10.96.0.0/16
  # Requests that many machines make at once are spread over more time.
  kubelet: {maxPods: 200, serializeImagePulls: false, maxParallelImagePulls: 4}
