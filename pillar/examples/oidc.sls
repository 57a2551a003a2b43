# yaml-language-server: $schema=../data/cluster.schema.json
# People log in at an OpenID Connect issuer; what they may do is bound to their groups there.
cluster:
  name: oidc
  kubernetes: "1.36"
  api: {address: 10.20.0.100}
  nodes:
    m1: {address: 10.20.0.11, roles: [etcd, master]}
    m2: {address: 10.20.0.12, roles: [etcd, master]}
    m3: {address: 10.20.0.13, roles: [etcd, master]}
    w1: {address: 10.20.0.21, roles: [worker]}
    w2: {address: 10.20.0.22, roles: [worker]}
  network: {nodes: 10.20.0.0/24}
  authentication:
    jwt:
      - issuer: {url: "https://login.example.com/realms/platform", audiences: [kubernetes]}
        claimMappings:
          username: {claim: email, prefix: "oidc:"}
          groups: {claim: groups, prefix: "oidc:"}
        claimValidationRules:
          - {expression: claims.email_verified == true, message: the e-mail address is not verified}
          - {expression: claims.exp - claims.iat <= 43200, message: the token lives longer than 12 hours}
  rbac:
    bindings:
      - {name: operators, cluster_role: cluster-admin, groups: ["oidc:operators"]}
      - {name: auditors, cluster_role: view, groups: ["oidc:auditors"]}
      - {name: shop-developers, cluster_role: edit, namespace: shop, groups: ["oidc:shop"], users: ["oidc:jane@example.com"]}
