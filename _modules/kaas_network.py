"""The network below the pods."""


def mtu(address, otherwise=1500):
    """
    Return the MTU, in bytes, of the interface with ``address``; ``otherwise`` where no interface has it.

    CLI Example:

    .. code-block:: bash

        salt w1.demo kaas_network.mtu 172.28.0.21
    """
    return __utils__["kaas_network.underlay"](address)[1] or otherwise
