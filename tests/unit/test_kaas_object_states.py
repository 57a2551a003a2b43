"""The object states and kaas_kube through Salt's loader, against a stand-in API that fails on demand."""

import apiserver
import kaas_manifest
import pytest
import yaml
from loaded import Loaded


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    found = apiserver.serve(folder)
    found.kubeconfig = apiserver.kubeconfig(folder / "kubeconfig", found.url, folder / "server.crt")
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def api(server):
    """A fresh, empty cluster."""
    server.api = apiserver.Api()
    return server.api


@pytest.fixture(scope="module")
def loaded():
    return {test: Loaded({}, only=["kaas_object", "kaas_kube"], test=test) for test in (False, True)}


@pytest.fixture
def state(api, server, loaded):
    """Return call(function, name, test=False, **arguments) for a state function of kaas_object."""

    def call(function, name="set", test=False, **arguments):
        arguments = {"kubeconfig": server.kubeconfig, "timeout": 2, **arguments}
        return loaded[test].states[f"kaas_object.{function}"](name, **arguments)

    return call


@pytest.fixture
def kube(api, server, loaded):
    """Return call(function, *arguments) for an execution function of kaas_kube."""
    return lambda function, *arguments, **more: loaded[False].modules[f"kaas_kube.{function}"](
        *arguments, kubeconfig=server.kubeconfig, **more
    )


def config_map(name, namespace="default", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def deployment(name="web", replicas=2, status=None):
    found = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}},
    }
    return {**found, "status": status} if status else found


CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {"group": "example.com", "names": {"kind": "Widget"}},
}
WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default"}}
PARENT = "ConfigMap kube-system/kaas-set"


def once(condition, error):
    """Return a `refuse` that raises the error at the first request that fulfils the condition."""
    left = [error]

    def refuse(method, path, body, query):
        if left and condition(method, path):
            raise left.pop()

    return refuse


def always(condition, error):
    def refuse(method, path, body, query):
        if condition(method, path):
            raise error

    return refuse


# -- applied ------------------------------------------------------------------------------------------------------


def test_applied_makes_what_others_need_first(state, api):
    ret = state("applied", objects=[config_map("a", "n", x="1"), namespace("n")])
    assert ret["result"] is True, ret
    assert ret["changes"] == {title: {"created": True} for title in (PARENT, "Namespace n", "ConfigMap n/a")}
    assert api.find("ConfigMap", "a", "n")["data"] == {"x": "1"}
    again = state("applied", objects=[config_map("a", "n", x="1"), namespace("n")])
    assert (again["result"], again["changes"], again["comment"]) == (True, {}, "All 2 objects are as described")


def test_applied_in_test_mode_predicts_what_does_not_exist_yet(state, api):
    ret = state("applied", test=True, objects=[namespace("n"), config_map("a", "n"), CRD, WIDGET])
    assert ret["result"] is None, ret
    assert len(ret["changes"]) == 5 and "5 would be created" in ret["comment"]
    assert api.find("Namespace", "n") is None and api.find("CustomResourceDefinition", "widgets.example.com") is None
    state("applied", objects=[config_map("a", x="1")])
    ret = state("applied", test=True, objects=[config_map("a", x="2")])
    assert (ret["result"], ret["changes"]) == (None, {"ConfigMap default/a": {"changed": ["data.x"]}})
    ret = state("applied", test=True, objects=[config_map("a", x="1")])
    assert (ret["result"], ret["changes"]) == (True, {})


def test_applied_in_test_mode_does_not_hide_what_is_really_wrong(state):
    ret = state("applied", test=True, objects=[config_map("a", "gone")])
    assert ret["result"] is False
    assert 'ConfigMap gone/a: namespaces "gone" not found' in ret["comment"]


def test_a_kind_that_the_server_learns_late_is_waited_for(state, api):
    asked = []

    def refuse(method, path, body, query):
        if path == "/apis/example.com/v1":
            asked.append(path)
            if len(asked) < 4:
                raise apiserver.Refusal(404, "NotFound")

    api.refuse = refuse
    ret = state("applied", objects=[WIDGET, CRD])
    assert ret["result"] is True, ret
    assert api.find("Widget", "w", "default")
    assert len(asked) >= 4


def test_a_kind_that_nobody_defines_is_an_error_at_once(state, api):
    ret = state("applied", objects=[WIDGET])
    assert ret["result"] is False
    assert "Widget default/w: the API does not serve example.com/v1" in ret["comment"]


def test_a_server_error_while_asking_for_a_late_kind_is_told(state, api):
    asked = []

    def refuse(method, path, body, query):
        if path == "/apis/example.com/v1":
            asked.append(path)
            raise apiserver.Refusal(*((404, "NotFound") if len(asked) < 3 else (403, "Forbidden", "not you")))

    api.refuse = refuse
    ret = state("applied", objects=[WIDGET, CRD])
    assert ret["result"] is False and "Widget default/w: not you" in ret["comment"]


def test_a_namespace_that_is_going_is_waited_for(state, api):
    going = apiserver.Refusal(403, "Forbidden", "unable to create new content because it is being terminated")
    api.refuse = once(lambda method, path: path.endswith("configmaps/a"), going)
    # The first look at the object is a GET of the same path.
    api.refuse = once(lambda method, path: method == "PATCH" and path.endswith("configmaps/a"), going)
    assert state("applied", objects=[config_map("a")])["result"] is True


def test_an_object_that_is_refused_is_named_and_nothing_is_pruned(state, api):
    state("applied", objects=[config_map("old"), config_map("a")])
    api.refuse = always(
        lambda method, path: method == "PATCH" and path.endswith("/b"), apiserver.Refusal(422, "Invalid", "b is wrong")
    )
    ret = state("applied", objects=[config_map("b"), config_map("a", x="2")])
    assert ret["result"] is False
    assert ret["comment"] == "ConfigMap default/b: b is wrong\nNothing was pruned."
    assert ret["changes"] == {"ConfigMap default/a": {"changed": ["data.x"]}}
    assert api.find("ConfigMap", "old", "default")


def test_what_left_the_set_is_deleted_unless_told_otherwise(state, api):
    state("applied", objects=[config_map("old"), config_map("a")])
    ret = state("applied", objects=[config_map("a")], prune=False)
    assert ret["changes"] == {} and api.find("ConfigMap", "old", "default")
    ret = state("applied", objects=[config_map("a")], test=True)
    assert (ret["result"], ret["changes"]) == (None, {"ConfigMap default/old": {"deleted": True}})
    assert api.find("ConfigMap", "old", "default")
    ret = state("applied", objects=[config_map("a")])
    assert ret["changes"] == {"ConfigMap default/old": {"deleted": True}}
    assert api.find("ConfigMap", "old", "default") is None


def test_a_deletion_that_is_refused_is_named(state, api):
    state("applied", objects=[config_map("old"), config_map("a")])
    api.refuse = always(lambda method, path: method == "DELETE", apiserver.Refusal(403, "Forbidden", "not you"))
    ret = state("applied", objects=[config_map("a")])
    assert ret["result"] is False and "ConfigMap default/old: not you" in ret["comment"]


@pytest.mark.parametrize("function", ["applied", "absent"])
def test_a_server_that_refuses_to_list_is_an_error(state, api, function):
    state("applied", objects=[config_map("a")])
    api.refuse = always(
        lambda method, path: method == "GET" and path.endswith("configmaps"),
        apiserver.Refusal(403, "Forbidden", "may not list"),
    )
    ret = state(function, **({"objects": [config_map("a")]} if function == "applied" else {}))
    assert ret["result"] is False and "API: may not list" in ret["comment"]


def test_an_object_of_another_set_is_left_alone(state, api):
    state("applied", "first", objects=[config_map("a", x="1")])
    ret = state("applied", objects=[config_map("a", x="2")])
    assert ret["result"] is False and "belongs to another set already" in ret["comment"]
    assert api.find("ConfigMap", "a", "default")["data"] == {"x": "1"}


def test_initial_values_are_given_at_creation_and_kept_when_given_up(state, api):
    initial = [{**deployment(), "spec": {"replicas": 3}}]
    plain = deployment()
    del plain["spec"]["replicas"]
    state("applied", objects=[plain], initial=initial)
    assert api.find("Deployment", "web", "default")["spec"]["replicas"] == 3
    api.find("Deployment", "web", "default")["spec"]["replicas"] = 5
    state("applied", objects=[plain], initial=initial)
    assert api.find("Deployment", "web", "default")["spec"]["replicas"] == 5
    # The description owned the field until now: handing it over keeps the initial value, whoever owns it next.
    state("applied", objects=[deployment(replicas=2)])
    state("applied", objects=[plain], initial=initial)
    assert api.find("Deployment", "web", "default")["spec"]["replicas"] == 3


def test_applied_waits_for_what_it_applied(state, api):
    wait = [{"kind": "ConfigMap", "namespace": "default", "name": "a"}]
    ret = state("applied", objects=[config_map("a")], wait=wait)
    assert ret["result"] is True and ret["comment"].endswith("Ready: 1 objects")


# -- absent -------------------------------------------------------------------------------------------------------


def test_absent_takes_members_and_parent_away(state, api):
    state("applied", objects=[namespace("n"), config_map("a", "n"), config_map("b")])
    ret = state("absent", test=True)
    assert ret["result"] is None and "4 would be deleted" in ret["comment"]
    assert api.find("Namespace", "n")
    ret = state("absent")
    assert ret["result"] is True and len(ret["changes"]) == 4
    assert [name for _, _, _, name in api.objects] == ["default", "kube-system"]
    assert state("absent") == {
        "name": "set", "changes": {}, "result": True, "comment": "There are no objects of set",
    }  # fmt: skip


@pytest.mark.parametrize(("finalizers", "text"), [(["example.com/hold"], "example.com/hold"), ([], "its content")])
def test_absent_tells_what_holds_an_object(state, api, finalizers, text):
    state("applied", objects=[config_map("a")])
    api.find("ConfigMap", "a", "default")["metadata"]["finalizers"] = finalizers
    if not finalizers:
        api.refuse = lambda method, path, body, query: {} if method == "DELETE" else None
    ret = state("absent", timeout=0)
    assert ret["result"] is False
    assert ret["comment"] == f"ConfigMap default/a: still being deleted, held by {text}"
    # The parent knows what is still to be deleted.
    assert api.find("ConfigMap", "kaas-set", "kube-system")


def test_absent_waits_until_an_object_is_really_gone(state, api):
    state("applied", objects=[config_map("a")])
    live = api.find("ConfigMap", "a", "default")
    live["metadata"]["finalizers"] = ["example.com/hold"]
    looks = []

    def refuse(method, path, body, query):
        if method == "GET" and path.endswith("configmaps/a"):
            looks.append(path)
            if len(looks) == 2:
                # A namesake made meanwhile is not the object that was to go.
                api.put(config_map("a"))

    api.refuse = refuse
    ret = state("absent", timeout=30)
    assert ret["result"] is True, ret
    assert len(looks) == 2


def test_absent_leaves_what_is_going_alone(state, api):
    state("applied", objects=[config_map("a")])
    live = api.find("ConfigMap", "a", "default")
    live["metadata"].update(deletionTimestamp="2026-11-23T12:00:00Z", finalizers=["example.com/hold"])
    api.requests.clear()
    assert state("absent", timeout=0)["result"] is False
    assert [method for method, path in api.requests if path.endswith("configmaps/a")] == []


def test_absent_when_a_kind_goes_with_its_definition(state, api):
    state("applied", objects=[CRD, WIDGET])

    def refuse(method, path, body, query):
        # What the server does when it takes a definition away.
        if method == "DELETE" and path.endswith("widgets.example.com"):
            api.kinds.pop("example.com/v1")
            api.objects = {key: obj for key, obj in api.objects.items() if key[1] != "Widget"}

    api.refuse = refuse
    ret = state("absent")
    assert ret["result"] is True, ret
    assert state("absent")["changes"] == {}


def test_absent_reports_a_server_that_stops_answering_its_questions(state, api):
    state("applied", objects=[config_map("a")])
    api.refuse = always(
        lambda method, path: method == "GET" and path.endswith("configmaps/a"),
        apiserver.Refusal(403, "Forbidden", "not you"),
    )
    ret = state("absent")
    assert ret["result"] is False and "API: not you" in ret["comment"]


# -- ready --------------------------------------------------------------------------------------------------------

WAIT = [{"kind": "Deployment", "namespace": "default", "name": "web"}]
DONE = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


def test_ready_when_it_is(state, api):
    api.put(deployment(status=DONE))
    assert state("ready", wait=WAIT)["result"] is True
    assert state("ready", wait=WAIT, test=True)["result"] is True


def test_ready_waits(state, api):
    live = api.put(deployment(status={"updatedReplicas": 1}))
    looks = []

    def refuse(method, path, body, query):
        looks.append(path)
        if len(looks) > 5:
            live["status"].update(DONE)

    api.refuse = refuse
    assert state("ready", wait=WAIT, timeout=30)["result"] is True


def test_ready_in_test_mode_does_not_wait(state, api):
    ret = state("ready", wait=WAIT, test=True, timeout=60)
    assert ret["result"] is None and "Deployment default/web: does not exist" in ret["comment"]


def test_not_ready_says_why_the_pods_do_not_run(state, api):
    api.put(deployment())
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"}},
        "status": {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]},
    }
    api.put(pod)
    ret = state("ready", wait=WAIT, timeout=0)
    assert ret["result"] is False
    assert "Not ready after 0 s:" in ret["comment"] and "web-1: ErrImagePull" in ret["comment"]
    assert state("ready", wait=WAIT, timeout=0, optional=True)["result"] is True


def test_not_ready_without_pods_to_ask_about(state, api):
    wait = [{"kind": "ConfigMap", "namespace": "default", "name": "a"}]
    assert state("ready", wait=wait, timeout=0)["comment"].endswith("ConfigMap default/a: does not exist")
    refusal = apiserver.Refusal(403, "Forbidden", "not you")
    api.refuse = always(lambda method, path: path.endswith("deployments/web"), refusal)
    ret = state("ready", wait=WAIT, timeout=0)
    assert ret["result"] is False and "Deployment default/web: not you" in ret["comment"]


# -- node_labels --------------------------------------------------------------------------------------------------

TAINT = {"key": "team", "value": "a", "effect": "NoSchedule"}
NODES = {"m1": {"labels": {"zone": "a"}, "taints": [TAINT]}}


@pytest.fixture
def node(api):
    """A Node that the kubelet registered."""
    return api.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "m1"}, "spec": {}})


def test_node_labels(state, api, node):
    predicted = state("node_labels", nodes=NODES, test=True)
    assert predicted["result"] is None and "labels" not in api.find("Node", "m1")["metadata"]
    ret = state("node_labels", nodes=NODES)
    assert ret["result"] is True and ret["changes"] == predicted["changes"]
    live = api.find("Node", "m1")
    assert (live["metadata"]["labels"], live["spec"]["taints"]) == ({"zone": "a"}, [TAINT])
    again = state("node_labels", nodes=NODES)
    assert (again["result"], again["changes"], again["comment"]) == (True, {}, "As described")


def test_nodes_that_do_not_register(state, api, node):
    nodes = {**NODES, "w1": {"labels": {}}}
    ret = state("node_labels", nodes=nodes, test=True)
    assert ret["result"] is None and "not registered: w1" in ret["comment"]
    ret = state("node_labels", nodes=nodes, timeout=0)
    assert ret["result"] is False and "not registered after 0 s: w1; look at kubelet there" in ret["comment"]
    assert "Node m1" in ret["changes"]
    assert api.find("Node", "w1") is None


def test_a_node_that_registers_late_is_waited_for(state, api):
    looks = []

    def refuse(method, path, body, query):
        if path == "/api/v1/nodes":
            looks.append(path)
            if len(looks) == 2:
                api.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "m1"}, "spec": {}})

    api.refuse = refuse
    assert state("node_labels", nodes=NODES, timeout=30)["result"] is True


def merge_refused(method, path):
    return method == "PATCH" and path.endswith("nodes/m1")


def test_another_writer_of_the_taints_is_not_overwritten(state, api, node):
    theirs = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}

    def refuse(method, path, body, query):
        if merge_refused(method, path):
            api.refuse = lambda *_: None
            api.put({**node, "spec": {"taints": [theirs]}})

    api.refuse = refuse
    assert state("node_labels", nodes=NODES)["result"] is True
    assert api.find("Node", "m1")["spec"]["taints"] == [theirs, TAINT]


@pytest.mark.parametrize("status", [403, 409])
def test_a_node_that_refuses_is_named(state, api, node, status):
    api.refuse = always(merge_refused, apiserver.Refusal(status, "No", "may not be written"))
    ret = state("node_labels", nodes=NODES)
    assert ret["result"] is False and ret["comment"] == "Node m1: may not be written"


def test_nodes_that_cannot_be_listed(state, api):
    api.refuse = always(lambda method, path: path == "/api/v1/nodes", apiserver.Refusal(403, "No", "may not list"))
    ret = state("node_labels", nodes=NODES)
    assert ret["result"] is False and ret["comment"] == "may not list"


# -- no API -------------------------------------------------------------------------------------------------------

CALLS = {
    "applied": {"objects": [config_map("a")]},
    "absent": {},
    "ready": {"wait": WAIT},
    "node_labels": {"nodes": NODES},
}


@pytest.mark.parametrize("function", CALLS)
def test_an_api_that_is_not_ready(state, api, function):
    api.ready = False
    ret = state(function, **CALLS[function], timeout=0)
    assert (ret["result"], ret["changes"]) == (False, {})
    assert "The API was not ready within 0 s: https://127.0.0.1:" in ret["comment"]
    ret = state(function, **CALLS[function], test=True)
    assert (ret["result"], ret["changes"]) == (None, {})
    assert "once the API answers" in ret["comment"]


@pytest.mark.parametrize("function", CALLS)
@pytest.mark.parametrize("test", [False, True])
def test_a_kubeconfig_that_is_wrong(state, tmp_path, function, test):
    (tmp_path / "kubeconfig").write_text("{}")
    ret = state(function, **CALLS[function], test=test, kubeconfig=str(tmp_path / "kubeconfig"))
    assert ret["result"] is False and "no entry 'None' under 'contexts'" in ret["comment"]


# -- the execution module -----------------------------------------------------------------------------------------


def test_get_shows_no_secret(api, kube):
    assert kube("get", "ConfigMap", "a", "default") is None
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}}
    api.put({**secret, "data": {"password": "aHVudGVyMg=="}}, manager="kaas")
    found = kube("get", "Secret", "s", "default")
    assert found["data"] == {"password": "**********"} and "managedFields" not in found["metadata"]


def test_names_and_members(api, kube, state):
    api.put(deployment())
    assert kube("names", "Deployment.apps") == ["default/web"]
    assert kube("names", "Namespace") == ["default", "kube-system"]
    state("applied", objects=[config_map("b"), config_map("a")])
    # A ReplicaSet inherits its Deployment's labels, yet nobody applied it.
    made = config_map("made")
    made["metadata"].update(
        labels={kaas_manifest.PART_OF: kaas_manifest.set_id("set")}, ownerReferences=[{"controller": True}]
    )
    api.put(made)
    assert kube("members", "set") == ["ConfigMap default/a", "ConfigMap default/b"]
    assert kube("members", "other") == []


def test_a_group_that_nobody_serves_is_named(kube):
    with pytest.raises(Exception, match=r"the API does not serve the group example\.com"):
        kube("names", "Widget.example.com")


def test_ready_tells_what_is_wrong(api, kube):
    assert kube("ready") is True
    api.ready = False
    assert "is not ready" in kube("ready")


def test_ready_raises_what_is_no_matter_of_the_api(loaded):
    with pytest.raises(TypeError):
        loaded[False].modules["kaas_kube.ready"](kubeconfig=None)


# -- files and charts ----------------------------------------------------------------------------------------------


@pytest.fixture
def manifests(tmp_path):
    """Return write(*objects): the path of a manifest file with them."""

    def write(*objects):
        path = tmp_path / "manifests.yaml"
        path.write_text(yaml.safe_dump_all(objects))
        return str(path)

    return write


def test_objects_of_files_are_of_the_set(state, api, manifests):
    path = manifests(config_map("a", x="1"), config_map("b", x="1"))
    assert state("applied", objects=[config_map("c", x="1")], files=[path])["result"] is True
    assert {one["metadata"]["name"] for one in api.objects.values() if one["kind"] == "ConfigMap"} >= {"a", "b", "c"}
    manifests(config_map("a", x="1"))
    ret = state("applied", files=[path])
    assert set(ret["changes"]) == {"ConfigMap default/b", "ConfigMap default/c"}


@pytest.mark.parametrize("test", [False, True])
def test_a_file_that_is_not_there(state, api, tmp_path, test):
    ret = state("applied", objects=[config_map("a")], files=[str(tmp_path / "none.yaml")], test=test)
    assert ret["changes"] == {} and str(tmp_path / "none.yaml") in ret["comment"]
    assert ret["result"] is (None if test else False)
    assert test or "kaas_artifact.installed" in ret["comment"]
    assert api.requests == []


def test_one_object_from_two_places_is_refused(state, api, manifests):
    ret = state("applied", objects=[config_map("a")], files=[manifests(config_map("a"))])
    assert ret["result"] is False and "stands twice" in ret["comment"] and api.requests == []


def test_a_file_with_something_else_is_refused(state, api, manifests):
    ret = state("applied", objects=[config_map("a")], files=[manifests({"name": "x"})])
    assert ret["result"] is False and "no Kubernetes object" in ret["comment"] and api.requests == []


@pytest.fixture
def charts(api, server):
    """Return apply(chart, *rendered, **arguments): `applied` where helm renders these objects."""

    def apply(chart, *rendered, test=False, **arguments):
        def render(given):
            assert given == chart
            if rendered and isinstance(rendered[0], Exception):
                raise rendered[0]
            return list(rendered)

        states = Loaded({}, only=["kaas_object"], tools={"kaas_chart.render": render}, test=test).states
        return states["kaas_object.applied"]("set", chart=chart, kubeconfig=server.kubeconfig, timeout=2, **arguments)

    return apply


CHART = {"file": "/opt/web.tgz", "name": "web", "namespace": "shop", "kubernetes": "1.36.3"}


def test_a_charts_objects_lie_in_its_namespace_where_they_can(charts, api):
    definition = {**CRD, "spec": {**CRD["spec"], "scope": "Namespaced"}}
    bare = config_map("a", x="1")
    del bare["metadata"]["namespace"]
    stray = {**namespace("extra"), "metadata": {"name": "extra", "namespace": "shop"}}
    widget = {**WIDGET, "metadata": {"name": "w"}}
    ret = charts(CHART, stray, bare, widget, definition, objects=[namespace("shop")])
    assert ret["result"] is True, ret
    assert set(ret["changes"]) == {
        PARENT,
        "Namespace shop",
        "Namespace extra",
        "ConfigMap shop/a",
        "Widget shop/w",
        "CustomResourceDefinition widgets.example.com",
    }


@pytest.mark.parametrize("test", [False, True])
def test_without_helm(charts, api, test):
    ret = charts(CHART, FileNotFoundError(2, "No such file or directory", "/usr/local/bin/helm"), test=test)
    assert ret["result"] is (None if test else False) and "/usr/local/bin/helm" in ret["comment"] and api.requests == []


def test_what_helm_refuses_is_the_states_comment(charts, api):
    ret = charts(CHART, ValueError("/opt/web.tgz: helm says: no"), objects=[config_map("a")])
    assert ret["result"] is False and "helm says: no" in ret["comment"] and api.requests == []


def test_a_chart_described_wrongly_is_not_rendered(charts, api):
    ret = charts({"file": "x"}, AssertionError("rendered"))
    assert ret["result"] is False and "chart: no kubernetes, name, namespace" in ret["comment"]


def test_absent_waits_for_custom_resources_before_their_controller_goes(state, api):
    widget = {**WIDGET, "metadata": {**WIDGET["metadata"], "finalizers": ["example.com/clean-up"]}}
    assert state("applied", objects=[CRD, widget, deployment()])["result"] is True
    ret = state("absent", timeout=1)
    assert ret["result"] is False and "example.com/clean-up" in ret["comment"]
    assert any(one["kind"] == "Deployment" for one in api.objects.values())
