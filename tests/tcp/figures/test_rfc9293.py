"""The figures of RFC 9293 3.5 and 3.6 as exchanges between two stacks."""

import pytest

from usertcp.testing import FigureError


@pytest.mark.rfc("9293-MUST-14", "9293-MUST-61")
def test_figure_6_three_way_handshake(figure):
    figure("""
        1.  CLOSED                                             LISTEN
            a.connect()
        2.  SYN-SENT     --> seq=100 SYN                   --> SYN-RECEIVED
        3.  ESTABLISHED  <-- seq=300 ack=101 SYN,ACK       <-- SYN-RECEIVED
        4.  ESTABLISHED  --> seq=101 ack=301 ACK           --> ESTABLISHED
            a.send(b"data")
        5.  ESTABLISHED  --> seq=101 ack=301 len=4 PSH,ACK --> ESTABLISHED
            b.receive() == b"data"
            ...
    """)


@pytest.mark.rfc("9293-MUST-10", "9293-EV-06")
def test_figure_7_simultaneous_open(figure):
    done = figure("""
        1.  CLOSED                                        CLOSED
            a.connect()    b.connect()
        2.  SYN-SENT     --> seq=100 SYN              ...
        3.  SYN-RECEIVED <-- seq=300 SYN              <-- SYN-SENT
        4.               ... seq=100 SYN              --> SYN-RECEIVED
        5.  SYN-RECEIVED --> seq=100 ack=301 SYN,ACK  ...
        6.  ESTABLISHED  <-- seq=300 ack=101 SYN,ACK  <-- SYN-RECEIVED
        7.               ... seq=100 ack=301 SYN,ACK  --> ESTABLISHED
            a.send(b"x")      b.send(b"y")
            ...
            a.receive() == b"y"    b.receive() == b"x"
    """)
    assert done.trace.lines


@pytest.mark.rfc("9293-EV-04", "9293-EV-23")
def test_figure_8_old_duplicate_syn(figure):
    figure("""
        1.  CLOSED                                        LISTEN
            a.connect()
        2.  SYN-SENT     --> seq=100 SYN              ...
        3.  (duplicate)  ... seq=90 SYN               --> SYN-RECEIVED
        4.  SYN-SENT     <-- seq=300 ack=91 SYN,ACK   <-- SYN-RECEIVED
        5.  SYN-SENT     --> seq=91 RST               --> LISTEN
        6.               ... seq=100 SYN              --> SYN-RECEIVED
        7.  ESTABLISHED  <-- seq=y ack=101 SYN,ACK    <-- SYN-RECEIVED
        8.  ESTABLISHED  --> seq=101 ack=y+1 ACK      --> ESTABLISHED
    """)


@pytest.mark.rfc("9293-EV-22", "5961-05")
def test_figure_9_half_open_discovery(figure):
    figure(
        """
        2.  ESTABLISHED                                   ESTABLISHED
            a.crash(isn=400)    a.connect()
        3.  SYN-SENT     --> seq=400 SYN              --> ESTABLISHED
        4.  SYN-SENT     <-- seq=300 ack=100 ACK      <-- ESTABLISHED
        5.  SYN-SENT     --> seq=100 RST              --> CLOSED
            b.error == "RESET"
        6.  SYN-SENT                                      CLOSED
            b.listen()
            ... 1 RTO
        7.  SYN-SENT     --> seq=400 SYN              --> SYN-RECEIVED
            ESTABLISHED  <-- seq=y ack=401 SYN,ACK    <-- SYN-RECEIVED
            ESTABLISHED  --> seq=401 ack=y+1 ACK      --> ESTABLISHED
        """,
        isn_a=99,
        isn_b=299,
    )


@pytest.mark.rfc("9293-EV-01", "9293-EV-22")
def test_figure_10_active_side_discovers(figure):
    figure(
        """
            ESTABLISHED                                     ESTABLISHED
        1.  a.crash()    b.send(b"0123456789")
        2.  (??)    <-- seq=300 ack=100 len=10 PSH,ACK  <-- ESTABLISHED
        3.          --> seq=100 RST                     --> CLOSED
            b.error == "RESET"
        """,
        isn_a=99,
    )


@pytest.mark.rfc("9293-MUST-11", "9293-EV-03")
def test_figure_11_two_passive_sockets(figure):
    figure("""
        1.  LISTEN                                        LISTEN
        2.               ... seq=90 SYN               --> SYN-RECEIVED
        3.  (??)         <-- seq=300 ack=91 SYN,ACK   <-- SYN-RECEIVED
        4.               --> seq=91 RST               --> LISTEN
        5.  LISTEN                                        LISTEN
    """)


@pytest.mark.rfc("9293-MUST-12", "9293-MUST-13", "9293-EV-14")
@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_figure_12_normal_close(figure, how: str):
    figure(
        f"""
        1.  ESTABLISHED                                    ESTABLISHED
            a.{how}()
        2.  FIN-WAIT-1   --> seq=100 ack=300 FIN,ACK   --> CLOSE-WAIT
        3.  FIN-WAIT-2   <-- seq=300 ack=101 ACK       <-- CLOSE-WAIT
            b.{how}()
        4.  TIME-WAIT    <-- seq=300 ack=101 FIN,ACK   <-- LAST-ACK
        5.  TIME-WAIT    --> seq=101 ack=301 ACK       --> CLOSED
            ... 1.9 MSL
            TIME-WAIT                                      CLOSED
            ... 0.1 MSL
        6.  CLOSED                                         CLOSED
        """,
        msl=30,
    )


@pytest.mark.rfc("9293-EV-20")
def test_figure_13_simultaneous_close(figure):
    figure(
        """
        1.  ESTABLISHED                                    ESTABLISHED
            a.close()   b.close()
        2.  FIN-WAIT-1   --> seq=100 ack=300 FIN,ACK   ... FIN-WAIT-1
            CLOSING      <-- seq=300 ack=100 FIN,ACK   <-- FIN-WAIT-1
                         ... seq=100 ack=300 FIN,ACK   --> CLOSING
        3.  CLOSING      --> seq=101 ack=301 ACK       ... CLOSING
            TIME-WAIT    <-- seq=301 ack=101 ACK       <-- CLOSING
                         ... seq=101 ack=301 ACK       --> TIME-WAIT
        4.  TIME-WAIT                                      TIME-WAIT
            ... 2 MSL
            CLOSED                                         CLOSED
        """,
        msl=30,
    )


@pytest.mark.rfc("9293-MUST-22", "9293-EV-18")
def test_loss_and_close(figure):
    figure(
        """
        CLOSED                                            LISTEN
        a.connect()
        SYN-SENT     --> seq=100 SYN                  --> SYN-RECEIVED
        ESTABLISHED  <-- seq=300 ack=101 SYN,ACK      <-- SYN-RECEIVED
        ESTABLISHED  --> seq=101 ack=301 ACK          --> ESTABLISHED
        a.send(b"hello")
                     --x seq=101 ack=301 len=5 PSH,ACK
        ... 1 RTO
                     --> seq=101 ack=301 len=5 PSH,ACK -->
        ...
        b.receive() == b"hello"
        a.close()
        FIN-WAIT-1   --> seq=106 ack=301 FIN,ACK      --> CLOSE-WAIT
        FIN-WAIT-2   <-- seq=301 ack=107 ACK          <-- CLOSE-WAIT
        b.close()
        FIN-WAIT-2   x-- seq=301 ack=107 FIN,ACK      <-- LAST-ACK
        ... 1 RTO
        TIME-WAIT    <-- seq=301 ack=107 FIN,ACK      <-- LAST-ACK
        TIME-WAIT    --> seq=107 ack=302 ACK          --> LISTEN
        """
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("SYN-SENT --> seq=101 SYN --> SYN-RECEIVED\nx", "cannot be read"),
        ("SYN-SENT --> seq=100 SYN --> ESTABLISHED", "b is in SYN-RECEIVED"),
        ("SYN-SENT --> seq=100 ack=1 SYN,ACK --> SYN-RECEIVED", "flags SYN, not SYN,ACK"),
        ("SYN-SENT <-- seq=300 SYN <-- LISTEN", "b sends nothing"),
        ("SYN-SENT LISTEN", "a sends one more"),
        ("a.error == 'RESET'\n--x seq=100 SYN", "does not hold"),
    ],
)
def test_a_wrong_figure_fails_and_says_why(figure, line: str, why: str):
    with pytest.raises((FigureError, ValueError), match=why):
        figure(f"CLOSED LISTEN\na.connect()\n{line}")
