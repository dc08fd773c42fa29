"""Numbers of the network: families (<linux/socket.h>), protocols (<linux/in.h>), TCP states (<net/tcp_states.h>)."""

from __future__ import annotations

__all__ = ["FAMILIES", "PROTOCOLS", "TCP_STATES"]

_FAMILIES = """
    UNSPEC UNIX INET AX25 IPX APPLETALK NETROM BRIDGE ATMPVC X25 INET6 ROSE DECnet NETBEUI SECURITY KEY NETLINK PACKET
    ASH ECONET ATMSVC RDS SNA IRDA PPPOX WANPIPE LLC IB MPLS CAN TIPC BLUETOOTH IUCV RXRPC ISDN PHONET IEEE802154 CAIF
    ALG NFC VSOCK KCM QIPCRTR SMC XDP MCTP
"""

FAMILIES: dict[int, str] = {number: f"AF_{name}" for number, name in enumerate(_FAMILIES.split())}
"""Number -> name of an address family."""

PROTOCOLS: dict[int, str] = {
    0: "IPPROTO_IP",
    1: "IPPROTO_ICMP",
    2: "IPPROTO_IGMP",
    4: "IPPROTO_IPIP",
    6: "IPPROTO_TCP",
    8: "IPPROTO_EGP",
    12: "IPPROTO_PUP",
    17: "IPPROTO_UDP",
    22: "IPPROTO_IDP",
    29: "IPPROTO_TP",
    33: "IPPROTO_DCCP",
    41: "IPPROTO_IPV6",
    46: "IPPROTO_RSVP",
    47: "IPPROTO_GRE",
    50: "IPPROTO_ESP",
    51: "IPPROTO_AH",
    58: "IPPROTO_ICMPV6",
    92: "IPPROTO_MTP",
    94: "IPPROTO_BEETPH",
    98: "IPPROTO_ENCAP",
    103: "IPPROTO_PIM",
    108: "IPPROTO_COMP",
    115: "IPPROTO_L2TP",
    132: "IPPROTO_SCTP",
    136: "IPPROTO_UDPLITE",
    137: "IPPROTO_MPLS",
    143: "IPPROTO_ETHERNET",
    144: "IPPROTO_AGGFRAG",
    255: "IPPROTO_RAW",
    256: "IPPROTO_SMC",
    262: "IPPROTO_MPTCP",
}
"""Number -> name of a protocol."""

_STATES = """
    ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING NEW_SYN_RECV
    BOUND_INACTIVE
"""

TCP_STATES: dict[int, str] = {number: f"TCP_{name}" for number, name in enumerate(_STATES.split(), 1)}
"""Number -> name of a state of a TCP connection; the last since 6.7."""
