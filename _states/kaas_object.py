"""States for what lives in the Kubernetes API.

One state describes one *set* of objects and is one process with one connection, however many objects the set has.
The set is an ApplySet (KEP-3659): its parent, ConfigMap ``kube-system/kaas-<name>``, remembers which kinds it holds,
its members carry a label, and a member that leaves the description is deleted.

Objects are applied server-side with the field manager ``kaas``: fields that others set (an autoscaler's replicas, an
operator's annotation) stay, fields of ours that someone changed are repaired. ``test=True`` asks the server itself
(``dryRun=All``). The changes of a state name objects and field paths, never values: they go to the job cache.
"""

import time

KUBECONFIG = "/etc/kubernetes/super-admin.conf"
NODE_MANAGER = "kaas-node"
INITIAL_MANAGER = "kaas-initial"


def applied(
    name,
    objects=None,
    kubeconfig=KUBECONFIG,
    prune=True,
    wait=None,
    timeout=120,
    force=True,
    initial=None,
    files=None,
    chart=None,
):
    """Make the API hold exactly this set of objects.

    name
        The set's name (part of an object name: lower-case letters, digits, ``-``, ``.``).
    objects
        A list of manifests. Namespaces and CRDs are applied first, the others in their order.
    prune
        Delete objects of the set that are not in the list any more; never after an error.
    wait
        What to wait for afterwards, see ``ready``.
    timeout
        Seconds to wait for the API at first, and again for ``wait``.
    force
        Take over fields of ours that another manager holds; otherwise that is an error.
    initial
        Partial objects, applied once only: when their object is created (or when the description gives up those
        fields). For values that a controller owns from then on, such as the replicas of an autoscaled Deployment.
    files
        Manifest files on this machine (verified artifacts), read at run time, whose objects are of the set as well.
    chart
        ``{file, name, namespace, values?, include_crds?, kubernetes}``: a Helm chart on this machine, which is rendered
        at run time; ``kubernetes`` is the version it is rendered for.

    .. code-block:: yaml

        greeting:
          kaas_object.applied:
            - objects:
                - apiVersion: v1
                  kind: ConfigMap
                  metadata: {name: greeting, namespace: default}
                  data: {text: hello}
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    utils = __utils__
    wrong, later = [], []
    objects = [*(objects or []), *_from_disk(files or [], chart, wrong, later)]
    wrong += utils["kaas_manifest.wait_problems"](wait or [])
    if objects or not (wrong or later):
        wrong += utils["kaas_manifest.problems"](objects)
    wrong += utils["kaas_manifest.problems"](initial) if initial else []
    if later and not wrong:
        # A dry run on a machine that has not downloaded them yet; a real one has failed above.
        ret.update(result=None, comment="Would be applied once these are here: " + ", ".join(later))
        return ret
    kube = _connect(ret, name, kubeconfig, timeout, wrong)
    if kube is None:
        return ret
    try:
        run = _Apply(kube, name, __opts__["test"], force, time.monotonic() + timeout)
        if chart:
            objects = run.placed(objects, chart["namespace"])
        run.read(objects)
        run.apply(objects, initial or [])
        if not run.errors:
            run.tidy(prune)
    except kube.Error as error:
        run.errors["API"] = str(error)
    ret["changes"] = run.changes
    if run.errors:
        ret["result"] = False
        ret["comment"] = "\n".join(f"{title}: {text}" for title, text in run.errors.items())
        if prune:
            ret["comment"] += "\nNothing was pruned."
    elif __opts__["test"]:
        ret["result"] = None if run.changes else True
        ret["comment"] = run.summary("would be ") or f"All {len(objects)} objects are as described"
    else:
        ret["comment"] = run.summary() or f"All {len(objects)} objects are as described"
        if wait:
            _wait_into(ret, kube, wait, timeout, run.after)
    return ret


def absent(name, kubeconfig=KUBECONFIG, timeout=120, groups=()):
    """Make the API hold no object of a set, and wait until they are really gone.

    name
        The set's name, as given to ``applied``. Its custom resources go first: what cleans up after them lies in the
        set, too.
    timeout
        Seconds to wait for the API at first, and again for the objects to go.
    groups
        API groups of which the set's own programs made definitions (CRDs) that nobody applied; these go with the set.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    utils = __utils__
    kube = _connect(ret, name, kubeconfig, timeout, [])
    if kube is None:
        return ret
    try:
        run = _Apply(kube, name, __opts__["test"], True, time.monotonic() + timeout)
        run.read([])
        for doomed in utils["kaas_manifest.deletion_phases"](run.live.values()):
            if run.errors:
                break
            for obj in doomed:
                run.delete(obj)
            if not run.errors and not __opts__["test"]:
                run.wait_gone(doomed)
        if run.parent and groups and not run.errors:
            run.delete_definitions(groups)
        if run.parent and not run.errors:
            run.delete(run.parent)  # last: it knows what is still to be deleted
    except kube.Error as error:
        run.errors["API"] = str(error)
    ret["changes"] = run.changes
    if run.errors:
        ret["result"] = False
        ret["comment"] = "\n".join(f"{title}: {text}" for title, text in run.errors.items())
    elif __opts__["test"] and run.changes:
        ret["result"] = None
        ret["comment"] = run.summary("would be ")
    else:
        ret["comment"] = run.summary() or f"There are no objects of {name}"
    return ret


def ready(name, wait, kubeconfig=KUBECONFIG, timeout=120, optional=False):
    """Wait until objects are ready; changes nothing.

    wait
        A list of ``{kind, name, namespace?, apiVersion?, condition?}``. ``condition`` is ``rollout`` (every replica
        new and available; the default of Deployment, DaemonSet, StatefulSet), ``exists`` (the default of others) or
        the type of a condition, ``Available`` or ``Ready=False``.
    timeout
        Seconds to wait for the API at first, and again for the objects.
    optional
        A wait that runs out is no failure: the comment says what is missing, and the run goes on.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    wrong = __utils__["kaas_manifest.wait_problems"](wait)
    kube = _connect(ret, "", kubeconfig, timeout, wrong)
    if kube is not None:
        _wait_into(ret, kube, wait, timeout, {})
        if optional:
            ret["result"] = True
    return ret


def node_labels(name, nodes, kubeconfig=KUBECONFIG, timeout=120):
    """Give Nodes the labels and taints that they may not give themselves (NodeRestriction).

    nodes
        ``{node name: {labels: {key: value}, taints: [{key, value?, effect}], pods: [network, ...]}}``. Labels and
        taints that left the description are taken away, those of others stay. The pod networks of a Node are written
        once: Kubernetes lets nobody change them, so another one that is there is an error; ``[]`` leaves them to
        others.
    timeout
        Seconds to wait for the API at first, and again for the nodes to register. Never creates a Node.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    wrong = [
        f"nodes.{node}.taints: each needs a key and an effect"
        for node, wanted in nodes.items()
        for taint in wanted.get("taints") or []
        if not {"key", "effect"} <= set(taint)
    ]
    kube = _connect(ret, "", kubeconfig, timeout, wrong)
    if kube is None:
        return ret
    test = __opts__["test"]
    deadline = time.monotonic() + timeout
    missing, errors = dict(nodes), []
    while missing:
        try:
            live = {node["metadata"]["name"]: node for node in kube.list("v1", "Node")}
        except kube.Error as error:
            errors.append(str(error))
            break
        for node in sorted(missing.keys() & live.keys()):
            try:
                changed = _label_node(kube, live[node], missing.pop(node), test)
            except kube.Error as error:
                errors.append(f"Node {node}: {error}")
                continue
            if changed:
                ret["changes"][f"Node {node}"] = changed
        if not missing or test or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    names = ", ".join(sorted(missing))
    if missing and not test and not errors:
        errors.append(f"not registered after {timeout} s: {names}; look at kubelet there, then apply this again")
    if errors:
        ret["result"] = False
        ret["comment"] = "\n".join(errors)
    elif test and (missing or ret["changes"]):
        ret["result"] = None
        ret["comment"] = f"{len(ret['changes'])} nodes would change" + (f"; not registered: {names}" if missing else "")
    else:
        ret["comment"] = f"{len(ret['changes'])} of {len(nodes)} nodes changed" if ret["changes"] else "As described"
    return ret


# -- what lies on this machine ----------------------------------------------------------------------------------------


def _from_disk(files, chart, wrong, later):
    """Return the objects of manifest files and of a chart; put what is wrong into `wrong`, what a dry run lacks into
    `later`."""
    utils = __utils__
    found = []
    faults = utils["kaas_chart.problems"](chart) if chart else []
    wrong += faults
    jobs = [(path, path, utils["kaas_chart.read"]) for path in files]
    if chart and not faults:
        jobs.append((chart["file"], chart, utils["kaas_chart.render"]))
    for path, what, reader in jobs:
        try:
            found += reader(what)
        except OSError as error:
            if __opts__["test"]:
                later.append(error.filename or path)
            else:
                advice = "the state kaas_artifact.installed that brings it must come first"
                wrong.append(f"{error.filename or path}: {error.strerror or error}; {advice}")
        except ValueError as error:
            wrong.append(str(error))
    return found


# -- how ----------------------------------------------------------------------------------------------------------


def _connect(ret, name, kubeconfig, timeout, wrong):
    """Return a client whose API is ready, or None with `ret` telling why not.

    In test mode an API that isn't there yet is no error: on a fresh machine nothing can be predicted.
    """
    wrong = list(wrong)
    if name:
        try:
            __utils__["kaas_manifest.parent_name"](name)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        ret["result"] = False
        ret["comment"] = "\n".join(wrong)
        return None
    # The exception's class can't be imported here (Salt loads the module), so it is told by its attributes.
    try:
        kube = __utils__["kaas_kube.client"](kubeconfig)
        kube.wait_ready(0 if __opts__["test"] else timeout)
        return kube
    except Exception as error:
        if not hasattr(error, "unreachable"):
            raise
        if __opts__["test"] and error.unreachable:
            ret["result"] = None
            ret["comment"] = f"Would be applied once the API answers ({error})"
        else:
            ret["result"] = False
            advice = "is kube-apiserver.service active on the masters?"
            text = f"The API was not ready within {timeout} s: {error}; {advice}"
            ret["comment"] = text if error.unreachable else str(error)
        return None


class _Apply:
    """One pass over one set: what is there, what was changed, what failed.

    changes: {title: {"created"|"deleted": True} or {"changed": [paths]}}; errors: {title: text};
    live, after: {identity: object} before and after.
    """

    def __init__(self, kube, name, test, force, deadline):
        self.kube, self.name, self.test, self.force, self.deadline = kube, name, test, force, deadline
        self.changes, self.errors, self.live, self.after = {}, {}, {}, {}
        self.parent = None
        self.kinds, self.namespaces = set(), set()
        self.new_namespaces, self.new_kinds = set(), set()

    def read(self, objects):
        """Read the parent and every live member of the set: one list per kind, not one get per object."""
        utils = __utils__
        self.parent = self.kube.get("v1", "ConfigMap", utils["kaas_manifest.parent_name"](self.name), "kube-system")
        versions = {utils["kaas_manifest.group_kind"](obj): obj["apiVersion"] for obj in objects}
        self.kinds = set(versions)
        self.namespaces = {obj["metadata"].get("namespace", "") for obj in objects}
        selector = utils["kaas_manifest.selector"](self.name)
        for kind in sorted(self.kinds | utils["kaas_manifest.recorded_kinds"](self.parent)):
            short, _, group = kind.partition(".")
            try:
                version = versions.get(kind) or self.kube.preferred_version(group)
                found = self.kube.list(version, short, labels=selector)
            except self.kube.Error as error:
                if error.reason != "NoKind":
                    raise
                continue  # its CRD does not exist yet, or not any more
            for obj in found:
                if not utils["kaas_manifest.has_controller"](obj):
                    self.live[utils["kaas_manifest.identity"](obj)] = obj

    def placed(self, objects, namespace):
        """Return the objects of a chart in the namespace of its release, where their kind lies in one."""
        utils = __utils__
        own = utils["kaas_chart.scopes"](objects)
        found = []
        for obj in objects:
            scope = own.get((utils["kaas_manifest.group_of"](obj["apiVersion"]), obj["kind"]))
            if scope is None:
                try:
                    scope = self.kube.resource(obj["apiVersion"], obj["kind"])["namespaced"]
                except self.kube.Error as error:
                    if error.reason != "NoKind":
                        raise
            found.append(utils["kaas_chart.placed"](obj, namespace, scope))
        return found

    def apply(self, objects, initial):
        """Apply the parent (which must know the kinds before members of them exist), then each object."""
        utils = __utils__
        known = utils["kaas_manifest.recorded_kinds"](self.parent)
        spaces = utils["kaas_manifest.recorded_namespaces"](self.parent)
        self._apply_parent(self.kinds | known, self.namespaces | spaces)
        once = {utils["kaas_manifest.identity"](obj): obj for obj in initial}
        for obj in utils["kaas_manifest.ordered"](objects):
            identity = utils["kaas_manifest.identity"](obj)
            title = utils["kaas_manifest.title"](obj)
            try:
                self._apply_member(utils["kaas_manifest.member"](obj, self.name), identity, title, once.get(identity))
            except self.kube.Error as error:
                self.errors[title] = _explain(obj, error)

    def tidy(self, prune):
        """Delete what left the set, then let the parent forget kinds and namespaces that it does not hold."""
        leftover = [obj for identity, obj in self.live.items() if identity not in self.after]
        if prune:
            for obj in __utils__["kaas_manifest.deletion_order"](leftover):
                self.delete(obj)
            if not self.errors:
                self._apply_parent(self.kinds, self.namespaces)

    def summary(self, auxiliary=""):
        """Return "3 created, 1 deleted", or nothing when nothing changed."""
        counts = {}
        for change in self.changes.values():
            for word in change:
                counts[word] = counts.get(word, 0) + 1
        return ", ".join(f"{count} {auxiliary}{word}" for word, count in sorted(counts.items()))

    def delete(self, obj):
        """Delete one object and note it; one that is going already is left alone."""
        title = __utils__["kaas_manifest.title"](obj)
        if obj["metadata"].get("deletionTimestamp"):
            return
        try:
            if not self.test:
                self.kube.delete(obj)
            self.changes[title] = {"deleted": True}
        except self.kube.Error as error:
            self.errors[title] = str(error)

    def delete_definitions(self, groups):
        """Delete the CRDs of these API groups, and with them all objects of their kinds."""
        found = self.kube.list("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        doomed = [obj for obj in found if obj["spec"]["group"] in groups]
        for obj in doomed:
            self.delete(obj)
        if not self.test and not self.errors:
            self.wait_gone(doomed)

    def wait_gone(self, objects):
        """Wait until the deleted objects don't exist any more."""
        left = list(objects)
        while True:
            left = [obj for obj in left if self._still_there(obj)]
            if not left:
                return
            if time.monotonic() > self.deadline:
                for obj in left:
                    finalizers = ", ".join(obj["metadata"].get("finalizers") or []) or "its content"
                    self.errors[__utils__["kaas_manifest.title"](obj)] = f"still being deleted, held by {finalizers}"
                return
            time.sleep(0.5)

    def _still_there(self, obj):
        meta = obj["metadata"]
        try:
            live = self.kube.get(obj["apiVersion"], obj["kind"], meta["name"], meta.get("namespace"))
        except self.kube.Error as error:
            if error.reason == "NoKind":
                return False
            raise
        return live is not None and live["metadata"]["uid"] == meta["uid"]

    def _apply_parent(self, kinds, namespaces):
        wanted = __utils__["kaas_manifest.parent"](self.name, kinds, namespaces)
        if __utils__["kaas_manifest.same_parent"](self.parent, wanted):
            return
        if self.parent is None:
            self.changes[__utils__["kaas_manifest.title"](wanted)] = {"created": True}
        if not self.test:
            self.parent = self._apply_patiently(wanted)

    def _apply_member(self, obj, identity, title, once):
        utils = __utils__
        before = self.live.get(identity) or self._get(obj)
        if before:
            other = utils["kaas_manifest.other_set"](before, self.name)
            if other:
                raise self.kube.Error(f"belongs to another set already ({other}); remove it there first")
            if once and not self.test and utils["kaas_manifest.owns"](before, "kaas", once):
                self.kube.apply(once, manager=INITIAL_MANAGER)  # so that the value stays when we give it up
        try:
            after = self._apply_patiently(obj)
        except self.kube.Error as error:
            if not (self.test and self._needs_what_is_new(obj, error)):
                raise
            after = obj
        if not before:
            self.changes[title] = {"created": True}
            self._note_new(obj)
            if once and not self.test:
                after = self.kube.apply(once, manager=INITIAL_MANAGER)
        elif before["metadata"].get("resourceVersion") != after["metadata"].get("resourceVersion") or self.test:
            paths = utils["kaas_manifest.changed_paths"](before, after)
            if paths:
                self.changes[title] = {"changed": paths}
        self.after[identity] = after

    def _get(self, obj):
        meta = obj["metadata"]
        try:
            return self.kube.get(obj["apiVersion"], obj["kind"], meta["name"], meta.get("namespace"))
        except self.kube.Error as error:
            if error.reason != "NoKind":
                raise
            return None

    def _apply_patiently(self, obj):
        """Apply; wait a little for a namespace or a kind that exists in a moment (fresh cluster, fresh CRD)."""
        while True:
            try:
                return self.kube.apply(obj, force=self.force, dry_run=self.test)
            except self.kube.Error as error:
                soon = error.about == "namespaces" or "being terminated" in str(error)
                if error.reason == "NoKind":
                    soon = __utils__["kaas_manifest.group_kind"](obj) in self.new_kinds
                if not soon or self.test or time.monotonic() > self.deadline:
                    raise
                if error.reason == "NoKind":
                    self._ask_again(obj)
            time.sleep(0.25)

    def _ask_again(self, obj):
        try:
            self.kube.resource(obj["apiVersion"], obj["kind"], fresh=True)
        except self.kube.Error as error:
            if error.reason != "NoKind":
                raise

    def _note_new(self, obj):
        if obj["kind"] == "Namespace":
            self.new_namespaces.add(obj["metadata"]["name"])
        elif obj["kind"] == "CustomResourceDefinition":
            self.new_kinds.add(f"{obj['spec']['names']['kind']}.{obj['spec']['group']}")

    def _needs_what_is_new(self, obj, error):
        """Say whether a dry run failed only because the same run would create the namespace or the CRD."""
        return error.status == 404 and (
            obj["metadata"].get("namespace") in self.new_namespaces
            or __utils__["kaas_manifest.group_kind"](obj) in self.new_kinds
        )


def _explain(obj, error):
    """Return the server's message; for a Secret only where it hurts, since the message may quote a value."""
    if obj["kind"] != "Secret":
        return str(error)
    fields = ", ".join(error.fields) or "not named"
    why = error.reason or error.status
    return f"refused ({why}), fields: {fields}; the message is withheld, because it may quote the Secret"


def _label_node(kube, node, wanted, test):
    """Make one live Node carry the wanted labels and taints; return the paths that changed."""
    plan = __utils__["kaas_manifest.node_plan"](node, wanted, NODE_MANAGER)
    if plan["problem"]:
        raise kube.Error(plan["problem"])
    if not plan["changed"] or test:
        return plan["changed"]
    meta = node["metadata"]
    if plan["pods"]:
        kube.merge("v1", "Node", meta["name"], {"spec": plan["pods"]}, manager=NODE_MANAGER)
    if plan["taints"] is not None:
        # The list has other writers (the node life cycle controller): refused unless it is still as we read it.
        patch = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "spec": {"taints": plan["taints"]}}
        try:
            kube.merge("v1", "Node", meta["name"], patch, manager=NODE_MANAGER)
        except kube.Error as error:
            fresh = kube.get("v1", "Node", meta["name"]) if error.status == 409 else None
            if fresh is None or fresh["metadata"]["resourceVersion"] == meta["resourceVersion"]:
                raise
            return _label_node(kube, fresh, wanted, test) or plan["changed"]
    kube.apply(plan["apply"], manager=NODE_MANAGER)
    return plan["changed"]


def _wait_into(ret, kube, wait, timeout, known):
    """Wait for the items and put the outcome into `ret`. known: objects as just applied, by identity."""
    utils = __utils__
    deadline = time.monotonic() + timeout
    start = time.monotonic()
    left = {}
    for item in wait:
        target = utils["kaas_manifest.wait_target"](item)
        left[utils["kaas_manifest.title"](target)] = (item, target, known.get(utils["kaas_manifest.identity"](target)))
    pause, state = 0.2, {}
    while True:
        for title, (item, target, obj) in list(left.items()):
            try:
                if obj is None:
                    meta = target["metadata"]
                    obj = kube.get(target["apiVersion"], target["kind"], meta["name"], meta.get("namespace"))
                reached, state[title] = utils["kaas_manifest.progress"](obj, item.get("condition"))
            except kube.Error as error:
                reached, state[title] = False, str(error)
            left[title] = (item, target, None)
            if reached:
                del left[title]
        if not left or __opts__["test"] or time.monotonic() + pause > deadline:
            break
        time.sleep(pause)
        pause = min(pause * 1.5, 1)
    lines = [f"{title}: {state[title]}" for title in state]
    if left and __opts__["test"]:
        ret["result"] = None
        ret["comment"] = "\n".join(filter(None, [ret["comment"], "Would wait for:", *lines]))
    elif left:
        ret["result"] = False
        for _item, target, _obj in left.values():
            lines += _pods_of(kube, target)
        ret["comment"] = "\n".join(filter(None, [ret["comment"], f"Not ready after {timeout} s:", *lines]))
    else:
        took = f"Ready after {time.monotonic() - start:.1f} s" if time.monotonic() - start > 1 else "Ready"
        ret["comment"] = "; ".join(filter(None, [ret["comment"], f"{took}: {len(wait)} objects"]))


def _pods_of(kube, target):
    """Return what keeps the pods of a workload from running, for the message of a wait that ran out."""
    meta = target["metadata"]
    try:
        obj = kube.get(target["apiVersion"], target["kind"], meta["name"], meta.get("namespace"))
        labels = ((obj or {}).get("spec", {}).get("selector") or {}).get("matchLabels")
        if not labels:
            return []
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return __utils__["kaas_manifest.pod_troubles"](kube.list("v1", "Pod", meta.get("namespace"), selector))
    except kube.Error:
        return []  # the wait's own outcome is what counts
