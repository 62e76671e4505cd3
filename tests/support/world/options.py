"""What the stacks of a world are opened with."""

from typing import Any

import usertcp

# A stack's options; the first value is the ordinary one. A new option is one line.
OPTIONS: dict[str, tuple[Any, ...]] = {
    "profile": ("linux", "linux", "rfc"),
    "congestion": usertcp.congestion_controls(),
    "rcv_buffer": (1 << 20, 4096, 16384, 65536),
    "snd_buffer": (1 << 20, 4096, 16384, 65536),
    "use_sack": (True, True, True, False),
    "use_rack": (True, True, True, False),
    "use_timestamps": (True, True, False),
    "use_window_scale": (True, True, True, False),
    "ecn": (2, 1, 0, 3, 4, 5),
    "nodelay": (True, False),
    "mtu_probing": (1, 1, 0, 2),
    "quick_acks": (16, 0),
    "rto_max": (10.0, 2.0, 120.0),
    "rto_min": (0.2, 0.2, 0.01, 1.0),
    "delack": (0.04, 0.2),
    "hystart": ("hystart++", "hystart++", "hystart", "off"),
    "cubic_ssthresh": ("flight", "cwnd"),
    "window_probe": ("octet", "empty"),
    "nagle": ("rfc", "minshall"),
    "mtu_base": (1024, 512, 900),
    "mss_max": (65535, 65535, 536),
}
