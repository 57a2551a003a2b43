# Rights that no bootstrap policy of the API server gives: kubeadm's group of administrators, and the API server itself
# towards the kubelets (logs, exec, port-forward, metrics).
include:
  - kube-apiserver.running

rbac-deployed:
  kaas_object.applied:
    - name: rbac
    # Without an API server, no other state of objects shall wait for it again.
    - require:
        - kaas_service: kube-apiserver.service
    - objects:
        - apiVersion: rbac.authorization.k8s.io/v1
          kind: ClusterRoleBinding
          metadata: {name: 'kubeadm:cluster-admins'}
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
          subjects:
            - {apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'kubeadm:cluster-admins'}
        - apiVersion: rbac.authorization.k8s.io/v1
          kind: ClusterRoleBinding
          metadata: {name: 'kaas:apiserver-kubelet-client'}
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:kubelet-api-admin'}
          subjects:
            - {apiGroup: rbac.authorization.k8s.io, kind: User, name: kube-apiserver-kubelet-client}
