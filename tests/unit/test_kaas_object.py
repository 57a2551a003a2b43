"""What the object states decide without a server: identity, order, sets, differences, progress, nodes, arguments."""

import copy

import formula
import kaas_manifest as manifest
import pytest
import salt.config
import salt.loader


def thing(kind="ConfigMap", name="a", namespace="n", version="v1", **rest):
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **rest}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (None, ["objects: a list"]),
        ([], ["objects: a list"]),
        ({"kind": "x"}, ["objects: a list"]),
        (["text"], ["objects[0]: not a mapping"]),
        ([{"metadata": {}}], ["objects[0]: no apiVersion, kind, metadata.name"]),
        ([thing(), thing(name="b"), thing()], ["objects[2]: ConfigMap n/a stands twice"]),
        ([thing("HPA", version="x/v1"), thing("HPA", version="x/v2")], ["objects[1]: HPA n/a stands twice"]),
        ([thing(), thing(namespace="m")], []),
    ],
    ids=["none", "empty", "mapping", "text", "nothing", "twice", "twice in two versions", "good"],
)
def test_problems(objects, expected):
    found = manifest.problems(objects)
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def test_order():
    kinds = ["Deployment", "ServiceAccount", "Namespace", "APIService", "CustomResourceDefinition", "ConfigMap"]
    objects = [thing(kind) for kind in kinds]
    first = ["Namespace", "CustomResourceDefinition", "ServiceAccount", "Deployment", "APIService", "ConfigMap"]
    assert [obj["kind"] for obj in manifest.ordered(objects)] == first
    last = [obj["kind"] for obj in manifest.deletion_order(objects)]
    assert last[0] == "APIService" and set(last[-2:]) == {"Namespace", "CustomResourceDefinition"}


# -- sets ---------------------------------------------------------------------------------------------------------


def test_set_id_is_the_one_of_the_standard():
    # KEP-3659: base64url(sha256("<name>.<namespace>.<kind>.<group>")); this value from that formula by hand:
    # printf 'kaas-a.kube-system.ConfigMap.' | openssl dgst -sha256 -binary | base64 | tr '+/' '-_' | tr -d =
    assert manifest.set_id("a") == "applyset-spRFYZK7oxyy05yLh6ehBOXYakIf_C4pwS2NFVkWH8w-v1"


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a/b", "a b", "x" * 300])
def test_names_that_no_set_can_have(name):
    with pytest.raises(ValueError, match="can't name a set"):
        manifest.set_id(name)


def test_member_carries_the_label_and_the_original_stays():
    original = thing()
    original["metadata"]["labels"] = None
    made = manifest.member(original, "a")
    assert f"{manifest.PART_OF}={made['metadata']['labels'][manifest.PART_OF]}" == manifest.selector("a")
    assert original["metadata"]["labels"] is None
    assert manifest.other_set(made, "a") is None
    assert manifest.other_set(made, "b") == manifest.set_id("a")
    assert manifest.other_set(thing(), "b") is None


def test_parent():
    made = manifest.parent("a", {"Deployment.apps", "ConfigMap"}, {"kube-system", "", "demo"})
    assert manifest.recorded_kinds(made) == {"Deployment.apps", "ConfigMap"}
    assert manifest.recorded_namespaces(made) == {"demo"}
    assert manifest.recorded_kinds(None) == set()
    live = copy.deepcopy(made)
    live["metadata"].update(uid="u", resourceVersion="1")
    assert manifest.same_parent(live, made)
    assert not manifest.same_parent(None, made)
    assert not manifest.same_parent(live, manifest.parent("a", {"ConfigMap"}, {"demo"}))
    assert not manifest.same_parent(live, manifest.parent("a", {"Deployment.apps", "ConfigMap"}, set()))


@pytest.mark.parametrize(
    ("manager", "operation", "fields", "expected"),
    [
        ("kaas", "Apply", {"f:spec": {"f:replicas": {}}}, True),
        ("kaas", "Apply", {"f:spec": {"f:template": {}}}, False),
        ("kaas", "Update", {"f:spec": {"f:replicas": {}}}, False),
        ("other", "Apply", {"f:spec": {"f:replicas": {}}}, False),
    ],
    ids=["ours", "another field", "not applied", "another manager"],
)
def test_owns(manager, operation, fields, expected):
    live = thing("Deployment")
    live["metadata"]["managedFields"] = [{"manager": manager, "operation": operation, "fieldsV1": fields}]
    assert manifest.owns(live, "kaas", thing("Deployment", spec={"replicas": 3})) is expected


# -- differences --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"data": {"a": "1"}}, {"data": {"a": "1"}}, []),
        ({"data": {"a": "1"}}, {"data": {"a": "2"}}, ["data.a"]),
        ({"data": {"a": "1"}}, {}, ["data"]),
        ({"data": {}}, {"data": {"x.y": "1", "b": "2"}}, ["data.b", "data[x.y]"]),
        ({"status": {"a": 1}}, {"status": {"a": 2}}, []),
        ({"l": [{"name": "c", "i": 1}]}, {"l": [{"name": "c", "i": 2}]}, ["l[c].i"]),
        ({"l": [{"name": "c"}]}, {"l": [{"name": "d"}]}, ["l[c]", "l[d]"]),
        ({"l": [1, 2]}, {"l": [1, 3, 4]}, ["l[1]", "l[2]"]),
        ({"l": [{"name": "c"}, {"name": "d"}]}, {"l": [{"name": "d"}, {"name": "c"}]}, ["l"]),
        ({"l": {"a": 1}}, {"l": [1]}, ["l"]),
    ],
    ids=["same", "value", "gone", "new", "status", "named", "renamed", "by place", "order", "type"],
)
def test_changed_paths(old, new, paths):
    before, after = thing(**old), thing(**new)
    before["metadata"].update(resourceVersion="1", managedFields=[1], generation=1)
    after["metadata"].update(resourceVersion="2", managedFields=[2], generation=2)
    assert manifest.changed_paths(before, after) == paths


def test_changed_paths_are_bounded_and_name_no_value():
    before = thing(data={f"k{number:02}": "old-value" for number in range(30)})
    after = thing(data={f"k{number:02}": "new-value" for number in range(30)})
    found = manifest.changed_paths(before, after, limit=5)
    assert found == [*(f"data.k{number:02}" for number in range(5)), "and 25 more"]
    assert "value" not in str(found)


def test_presentable_masks_secrets_alone():
    secret = thing("Secret", data={"k": "djE="}, stringData={"p": "v"})
    secret["metadata"].update(managedFields=[1], annotations={"kubectl.kubernetes.io/last-applied-configuration": "v"})
    shown = manifest.presentable(secret)
    assert shown["data"] == {"k": "**********"} and shown["stringData"] == {"p": "**********"}
    assert "managedFields" not in shown["metadata"] and shown["metadata"]["annotations"] == {}
    assert manifest.presentable(thing(data={"k": "v"}))["data"] == {"k": "v"}


# -- progress -----------------------------------------------------------------------------------------------------


def deployment(generation=1, observed=1, **status):
    obj = thing(
        "Deployment", version="apps/v1", spec={"replicas": 2}, status={"observedGeneration": observed, **status}
    )
    obj["metadata"]["generation"] = generation
    return obj


FULL = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
READY = thing("Node", status={"conditions": [{"type": "Ready", "status": "True"}]})
NOT_READY = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "no network"}


@pytest.mark.parametrize(
    ("obj", "condition", "reached", "text"),
    [
        (None, None, False, "does not exist"),
        (thing(), None, True, "exists"),
        (deployment(**FULL), None, True, "2 of 2"),
        (deployment(observed=0, **FULL), None, False, "2 of 2"),
        (deployment(**{**FULL, "availableReplicas": 1}), None, False, "1 of 2"),
        (deployment(**{**FULL, "replicas": 3}), None, False, "2 of 2"),
        (deployment(**{**FULL, "updatedReplicas": 1}), None, False, "1 of 2"),
        (deployment(), "rollout", False, "0 of 2"),
        (
            deployment(conditions=[{"type": "ReplicaFailure", "status": "True", "message": "quota"}]),
            None,
            False,
            "quota",
        ),
        (thing(), "rollout", False, "no rollout"),
        (READY, "Ready", True, "Ready is True"),
        (READY, "Ready=False", False, "Ready is True"),
        (READY, "Other", False, "Other is not reported yet"),
        (thing("Node", status={"conditions": [NOT_READY]}), "Ready", False, "KubeletNotReady: no network"),
        (
            thing("DaemonSet", status={"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2}),
            None,
            False,
            "2 of 3 nodes",
        ),
        (
            thing(
                "StatefulSet",
                spec={"replicas": 1},
                status={"readyReplicas": 1, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "a"},
            ),
            None,
            True,
            "1 of 1",
        ),
    ],
)
def test_progress(obj, condition, reached, text):
    found = manifest.progress(obj, condition)
    assert found[0] is reached and text in found[1]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"kind": "Pod"}, "wait[0]: no name"),
        ("Pod", "wait[0]: no kind and no name"),
        ({"kind": "Pod", "name": "p", "conditions": "x"}, "wait[0]: unknown key conditions"),
    ],
)
def test_wait_problems(item, message):
    assert manifest.wait_problems([item]) == [message]


def test_pod_troubles():
    pods = [
        {
            "metadata": {"name": "p1"},
            "status": {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such"}}}]},
        },
        {
            "metadata": {"name": "p2"},
            "status": {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
                ]
            },
        },
        {"metadata": {"name": "p3"}, "status": {"containerStatuses": [{"state": {"running": {}}}]}},
    ]
    assert manifest.pod_troubles(pods) == ["p1: ErrImagePull no such", "p2: Unschedulable 0/1 nodes"]


# -- nodes --------------------------------------------------------------------------------------------------------

MASTER = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
LOST = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "then"}
MINE = {"key": "team", "value": "a", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("live", "wanted", "ours", "expected"),
    [
        ([], [MASTER], set(), [MASTER]),
        ([LOST], [MASTER], set(), [LOST, MASTER]),
        ([LOST, MASTER], [MASTER], {"node-role.kubernetes.io/control-plane:NoSchedule"}, [LOST, MASTER]),
        ([LOST, MASTER], [], {"node-role.kubernetes.io/control-plane:NoSchedule"}, [LOST]),
        ([LOST, MASTER], [], set(), [LOST, MASTER]),
        ([{**MINE, "value": "b"}, LOST], [MINE], set(), [MINE, LOST]),
        ([{**MINE, "timeAdded": "then"}], [MINE], set(), [{**MINE, "timeAdded": "then"}]),
    ],
    ids=["first", "beside others", "no change", "taken away", "not ours", "other value", "server's part kept"],
)
def test_merged_taints(live, wanted, ours, expected):
    assert manifest.merged_taints(live, wanted, ours) == expected


def test_node_plan_of_a_node_that_is_as_described():
    node = thing("Node", "m1", None, spec={"taints": [MASTER]})
    node["metadata"].update(
        uid="u1",
        labels={"a": "1", "theirs": "2"},
        annotations={manifest.TAINTS: manifest.taint_name(MASTER)},
        managedFields=[
            {"manager": "kaas-node", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": {"f:a": {}}}}}
        ],
    )
    assert manifest.node_plan(node, {"labels": {"a": "1"}, "taints": [MASTER]}, "kaas-node")["changed"] == []
    plan = manifest.node_plan(node, {"labels": {"b": "1"}}, "kaas-node")
    assert plan["changed"] == [
        "metadata.labels[a]",
        "metadata.labels[b]",
        "spec.taints",
        f"metadata.annotations[{manifest.TAINTS}]",
    ]
    assert plan["taints"] == []
    assert plan["apply"]["metadata"] == {"name": "m1", "uid": "u1", "labels": {"b": "1"}, "annotations": {}}


@pytest.mark.parametrize(
    ("spec", "wanted", "pods", "problem"),
    [
        ({}, [], None, None),
        ({"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]}, [], None, None),
        ({}, ["10.244.1.0/24"], {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]}, None),
        ({"podCIDRs": ["10.244.1.0/24"]}, ["10.244.1.0/24"], None, None),
        ({"podCIDR": "10.244.1.0/24"}, ["10.244.1.0/24"], None, None),
        ({"podCIDRs": ["10.244.1.0/24"]}, ["10.244.2.0/24"], None, "write `pods: 10.244.1.0/24` into nodes.m1"),
        ({"podCIDRs": ["10.244.1.0/24", "fd00:1::/64"]}, ["10.244.1.0/24"], None, "`pods: [10.244.1.0/24, fd00:1::/64]`"),
    ],
)
def test_pod_networks_of_a_node_are_written_once(spec, wanted, pods, problem):
    node = {"metadata": {"name": "m1", "uid": "u1"}, "spec": spec}
    plan = manifest.node_plan(node, {"pods": wanted}, "kaas-node")
    assert plan["pods"] == pods
    assert plan["changed"] == (["spec.podCIDRs"] if pods else [])
    assert (problem or "") in (plan["problem"] or "") and bool(problem) is bool(plan["problem"])


# -- the states, through Salt's loader ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    base = tmp_path_factory.mktemp("salt")
    opts = salt.config.DEFAULT_MINION_OPTS.copy()
    opts.update(id="m1", test=False, file_client="local", root_dir=str(base), cachedir=str(base / "cache"))
    opts.update(extension_modules=str(base / "extmods"), grains={}, pillar={}, module_dirs=[])
    opts.update(utils_dirs=[str(formula.ROOT / "_utils")], states_dirs=[str(formula.ROOT / "_states")])
    utils = salt.loader.utils(opts)
    return salt.loader.states(opts, {}, utils, None)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("applied", {"name": "Bad Name", "objects": [thing()]}, "'Bad Name' can't name a set"),
        ("applied", {"name": "a", "objects": []}, "objects: a list"),
        ("applied", {"name": "a", "objects": [thing()], "wait": [{"kind": "Pod"}]}, "wait[0]: no name"),
        ("applied", {"name": "a", "objects": [thing()], "initial": [{}]}, "objects[0]: no apiVersion"),
        ("absent", {"name": "Bad Name"}, "'Bad Name' can't name a set"),
        ("ready", {"name": "a", "wait": [{"name": "Pod"}]}, "wait[0]: no kind"),
        ("node_labels", {"name": "a", "nodes": {"m1": {"taints": [{"key": "k"}]}}}, "nodes.m1.taints"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_asked(states, function, arguments, message):
    ret = states[f"kaas_object.{function}"](**arguments)
    assert ret["result"] is False and ret["changes"] == {}
    assert message in ret["comment"]


def test_secrets_messages_are_withheld():
    module = formula.load("_states/kaas_object.py")
    error = RuntimeError("expected string, got hunter2")
    error.reason, error.status, error.fields = "Invalid", 422, (".data.password",)
    text = module._explain(thing("Secret"), error)
    assert "hunter2" not in text and ".data.password" in text
    assert module._explain(thing(), error) == "expected string, got hunter2"
