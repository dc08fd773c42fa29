"""Names of what TCP has, as BCC's scripts import them from `bcc.tcp`. Source: include/net/tcp_states.h, net/tcp.h."""

from __future__ import annotations

from skep.base.abi.sockets import TCP_STATES

__all__ = ["flags2str", "state2str", "tcpstate"]

TCPHDR_FIN, TCPHDR_SYN, TCPHDR_RST, TCPHDR_PSH = 1, 2, 4, 8
TCPHDR_ACK, TCPHDR_URG, TCPHDR_ECE, TCPHDR_CWR = 16, 32, 64, 128
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")

tcpstate = {number: name.removeprefix("TCP_") for number, name in TCP_STATES.items()}
"""Number -> name of a state."""


def state2str(state: int) -> str:
    """The name of a state, or its number.

    Args:
        state: its number.
    """
    return tcpstate.get(state, str(state))


def flags2str(flags: int) -> str:
    """The names of flags, as ``SYN|ACK``.

    Args:
        flags: of a header.
    """
    return "|".join(name for bit, name in enumerate(_FLAGS) if flags >> bit & 1)
