"""What load balancers serve of the cluster's Services, and how haproxy is told."""

import kaas_balancer
import pytest

RESERVED = {22: "of SSH", 8443: "the API's"}


def service(name="web", port=80, made="2026-01-01T00:00:00Z", annotations=None, status=None, **spec):
    ports = spec.pop("ports", [{"port": port, "nodePort": 30001}])
    meta = {"namespace": "shop", "name": name, "creationTimestamp": made, "annotations": annotations or {}}
    return {"metadata": meta, "spec": {"type": "LoadBalancer", "ports": ports, **spec}, "status": {"loadBalancer": status or {}}}


def refused(*services):
    return kaas_balancer.plan(services, RESERVED)[1]


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, True),
        ({"type": "NodePort"}, False),
        ({"loadBalancerClass": "kaas.local/haproxy"}, True),
        ({"loadBalancerClass": "example.com/other"}, False),
    ],
)
def test_services_of_the_type_and_of_our_class(spec, wanted):
    assert kaas_balancer.wants(service(**spec)) is wanted
    assert bool(kaas_balancer.plan([service(**spec)], RESERVED)[0]) is wanted


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (service(port=22), "port 22 is of SSH: use another"),
        (service(port=8443), "port 8443 is the API's: use another"),
        (service(ports=[{"port": 53, "nodePort": 30001, "protocol": "UDP"}]), "port 53 is UDP: haproxy leads TCP alone"),
        (service(ports=[{"port": 80}]), "port 80 has no node port: leave allocateLoadBalancerNodePorts out of the Service"),
        (service(ports=[]), "it has no port"),
        (service(annotations={kaas_balancer.PROXY: "v3"}), "annotation balancer.kaas.local/proxy-protocol is 'v3': use v2, or leave it out"),
    ],
)  # fmt: skip
def test_what_can_not_be_served_is_refused_with_its_reason(one, why):
    assert kaas_balancer.plan([one], RESERVED) == ([], {"shop/web": why})


def test_a_port_has_one_owner_the_older_service():
    young, old = service("a", made="2026-02-01T00:00:00Z"), service("b")
    rows, why = kaas_balancer.plan([young, old], RESERVED)
    assert [row["name"] for row in rows] == ["shop/b"]
    assert why == {"shop/a": "port 80 is the port of Service shop/b: use another"}


def test_a_service_that_is_being_deleted_is_not_served():
    going = service()
    going["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    assert kaas_balancer.plan([going], RESERVED) == ([], {})


def text(*services, address="10.0.0.100", backends=None):
    rows, _ = kaas_balancer.plan(services, RESERVED)
    return kaas_balancer.configuration(rows, address, backends or {"w1": "10.0.0.21", "w2": "10.0.0.22"})


def test_the_configuration_of_a_service():
    assert kaas_balancer.sections(text(service()))["shop:web:80"] == (
        "listen shop:web:80\n"
        "  bind 10.0.0.100:80 transparent\n"
        "  balance leastconn\n"
        "  server w1 10.0.0.21:30001\n"
        "  server w2 10.0.0.22:30001\n"
    )


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        ({"sessionAffinity": "ClientIP"}, ["balance source"]),
        ({"loadBalancerSourceRanges": ["10.0.0.0/8", " 192.168.1.0/24"]},
         ["tcp-request connection reject unless { src 10.0.0.0/8 192.168.1.0/24 }"]),
        ({"externalTrafficPolicy": "Local", "healthCheckNodePort": 32000},
         ["option httpchk GET /healthz", "http-check expect status 200", "server w1 10.0.0.21:30001 port 32000"]),
        ({"annotations": {kaas_balancer.PROXY: "v2"}}, ["server w1 10.0.0.21:30001 send-proxy-v2"]),
    ],
)  # fmt: skip
def test_what_a_service_wants_beyond(spec, lines):
    section = kaas_balancer.sections(text(service(**spec)))["shop:web:80"].splitlines()
    assert {f"  {line}" for line in lines} <= set(section)


def test_ipv6_is_written_in_brackets():
    found = text(service(), address="fd00::1", backends={"w1": "fd00::21"})
    assert "bind [fd00::1]:80" in found and "server w1 [fd00::21]:30001" in found


def test_there_is_always_something_to_listen_on():
    assert "bind unix@" in kaas_balancer.configuration([], "10.0.0.100", {})


def test_the_ports_of_a_configuration():
    assert kaas_balancer.bound(text(service(), service("b", port=8080))) == {80, 8080}
    assert kaas_balancer.bound("") == kaas_balancer.bound(text()) == set()


def test_changes_name_services_and_ports():
    one, two = text(service()), text(service("b", port=81), service(sessionAffinity="ClientIP"))
    assert kaas_balancer.changes(one, two) == {"added": ["shop:b:81"], "changed": ["shop:web:80"]}
    assert kaas_balancer.changes(two, one) == {"removed": ["shop:b:81"], "changed": ["shop:web:80"]}
    assert kaas_balancer.changes(one, one) == {}
    assert kaas_balancer.changes(one, one.replace("maxconn 8192", "maxconn 1")) == {"changed": ["general"]}


OURS = {kaas_balancer.OWNER: "10.0.0.100"}
SAYS = {"ingress": [{"ip": "10.0.0.100", "ipMode": "Proxy"}]}


@pytest.mark.parametrize(
    ("one", "address", "patch"),
    [
        (service(), "10.0.0.100", {"metadata": {"annotations": OURS}, "status": {"loadBalancer": SAYS}}),
        (service(annotations=OURS, status=SAYS), "10.0.0.100", None),
        (service(annotations=OURS), "10.0.0.100", {"metadata": {"annotations": OURS}, "status": {"loadBalancer": SAYS}}),
        (service(annotations=OURS, status=SAYS), None,
         {"metadata": {"annotations": {kaas_balancer.OWNER: None}}, "status": {"loadBalancer": None}}),
        # what another balancer has written stays
        (service(status=SAYS), None, None),
    ],
)  # fmt: skip
def test_the_status_says_the_address_while_it_is_served(one, address, patch):
    assert kaas_balancer.status_patch(one, address) == patch


def test_only_what_bears_the_mark_is_released():
    gone = {"metadata": {"annotations": {"mark": None}}, "status": {"loadBalancer": None}}
    assert kaas_balancer.release_patch(service(annotations={"mark": "pool"}, status=SAYS), "mark") == gone
    assert kaas_balancer.release_patch(service(annotations=OURS, status=SAYS), "mark") is None
