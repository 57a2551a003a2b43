# A cluster file that uses every key and has nothing wrong: what the cases of this folder are changes of.
cluster:
  name: good
  kubernetes: "1.37"
  acknowledge: []
  ca: ca
  domain: cluster.local
  provider: {name: bare, bare: {}}
  api: {address: 10.1.0.100, port: 8443, virtual_router_id: 60}
  nodes:
    m1: {address: 10.1.0.11, roles: [etcd, master]}
    m2: {address: 10.1.0.12, roles: [etcd, master]}
    m3: {address: 10.1.0.13, roles: [etcd, master]}
    w1: {address: 10.1.0.21, roles: [worker], id: web1.example.com, labels: {disk: ssd, topology.kubernetes.io/zone: a}}
    w2: {address: 10.1.0.22, roles: [worker], kubernetes: "1.36", taints: [{key: gpu, value: a100, effect: NoSchedule}]}
  network:
    nodes: 10.1.0.0/24
    pods: 10.244.0.0/16
    services: 10.96.0.0/16
    dns: 10.96.0.10
    plugin: flannel
    flannel: {backend: vxlan}
    calico: {backend: vxlan, block_size: 26, values: {}}
    cilium: {backend: vxlan, values: {}}
    routes: {}
    mtu: 1500
    policies: optional
    proxy: nftables
  balancer:
    plugin: metallb
    metallb:
      pools:
        - {name: default, addresses: [10.1.0.224-10.1.0.239], auto_assign: true, mode: l2}
        - {name: routed, addresses: [10.2.0.0/28], auto_assign: false, mode: bgp}
      nodes: {disk: ssd}
      peers: [{address: 10.1.0.1, asn: 64512, my_asn: 64513, port: 179, multihop: false, password_secret: router}]
    haproxy: {address: 10.1.0.101, virtual_router_id: 62, reserved_ports: [9100]}
  gateway:
    plugin: traefik
    traefik:
      replicas: 3
      service: LoadBalancer
      node_ports: {http: 30081, https: 30443}
      external_traffic_policy: Local
      certificate: wildcard
      default_class: false
      gateway: true
  artifacts:
    source: repository
    url: "http://10.1.0.2:8080"
    sha256: {gateway-api: {crds.yaml: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}
  registries: {registry.k8s.io: "http://10.1.0.2:5000", "registry.example.com:5000": "https://mirror.example.com/v2/"}
  addons: [metrics-server, demo]
  demo: {live: green}
  kubelet: {maxPods: 60, evictionHard: {memory.available: 100Mi}}
  kube_proxy: {conntrack: {maxPerCore: 0}}
  containerd: {restrict_oom_score_adj: true}
  authentication:
    jwt:
      - issuer:
          url: https://login.example.com
          discoveryURL: https://10.1.0.5/.well-known/openid-configuration
          audiences: [kubernetes, kaas]
          audienceMatchPolicy: MatchAny
          certificateAuthority: |
            -----BEGIN CERTIFICATE-----
            MIIBiDCCAS+gAwIBAgIUcRPOvGZfnnVnJYVAbW7Q7qRujT0wCgYIKoZIzj0EAwIw
            GTEXMBUGA1UEAwwOZXhhbXBsZS1pc3N1ZXIwIBcNMjYxMTIzMjIyODQ2WhgPMjEy
            NjEwMzAyMjI4NDZaMBkxFzAVBgNVBAMMDmV4YW1wbGUtaXNzdWVyMFkwEwYHKoZI
            zj0CAQYIKoZIzj0DAQcDQgAEcRRZqHZKcKNEYnPoK/P7Pni25/IbgzR+FsD1Gamc
            svDZphlWsSA68fqbIOFreML7YIpl3kxgfjCeLfM9sHFL3qNTMFEwHQYDVR0OBBYE
            FPgzRh+nglQ9PxTUDXnrlZ/V3t8hMB8GA1UdIwQYMBaAFPgzRh+nglQ9PxTUDXnr
            lZ/V3t8hMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgTlbFGfiD
            g1OQ9/qIM9C4fzEBK8pu9iDVaOj8gmbrTzgCIBuZKc4C+8EoKDLC3sBXsdo5MEuj
            bNkFgPkgJWZ0p6Tg
            -----END CERTIFICATE-----
        claimValidationRules:
          - {claim: hd, requiredValue: example.com}
          - {expression: "claims.exp - claims.iat <= 86400", message: the token lives longer than a day}
        claimMappings:
          username: {claim: email, prefix: "oidc:"}
          groups: {expression: "'oidc:' + claims.team"}
          uid: {claim: sub}
          extra: [{key: example.com/tenant, valueExpression: claims.tenant}]
        userValidationRules:
          - {expression: "!user.username.startsWith('system:')", message: names of the system are not for users}
  rbac:
    bindings:
      - {name: admins, cluster_role: cluster-admin, groups: ["oidc:admins"], users: ["oidc:jane@example.com"]}
      - {name: developers, cluster_role: edit, namespace: shop, groups: ["oidc:developers"]}
  admission:
    pod_security: {enforce: baseline, audit: restricted, warn: restricted, exempt_namespaces: [kube-system]}
    event_rate_limit:
      - {type: Server, qps: 500, burst: 1000}
      - {type: Namespace, qps: 50, burst: 100, cacheSize: 2000}
  certificates: {days: 90, renew_before_days: 30}
lab: {master: 10.1.0.2, memory: 2048, cpus: 2}
