/* instructions.c: the work callgrind counts. Usage: instructions SCENARIO COUNT
 *
 * Each scenario repeats one thing COUNT times through the public API, so the difference of two counts
 * is free of set-up. instructions.py runs it, reads the inclusive cost of ut_poll, ut_send and
 * friends, and divides. A step never mixes two measured things inside one API function.
 */
#include "peer.h"

static uint8_t buffer[1 << 20];

/* Reads all there is, as a program that keeps up does. */
static uint64_t receive_all(struct peer *p, ut_handle h)
{
    uint64_t total = 0;
    for (;;) {
        ut_span lent = {0};
        int64_t got = ut_recv(p->stack, h, buffer, sizeof buffer, sizeof buffer, &lent, p->now);
        if (got < 0) return total;
        if (got == 0) {
            REQUIRE(lent.len > 0 && ut_recv_done(p->stack, h, lent.len, p->now) >= 0);
            got = (int64_t)lent.len;
        }
        total += (uint64_t)got;
    }
}

/* COUNT frames of `len` bytes in order, `batch` of them to a turn. */
static void run_receive(struct peer *p, ut_handle h, int count, int batch, int len)
{
    int gso_size = len > MSS ? MSS : 0;
    for (int done = 0; done < count; done += batch) {
        for (int i = 0; i < batch; i++) peer_send(p, ACK, (uint32_t)len, gso_size);
        peer_poll(p);
        REQUIRE(receive_all(p, h) == (uint64_t)batch * (uint64_t)len);
    }
}

/* COUNT sends of `len` bytes, `batch` of them in flight; each answered by one pure ACK, the ACKs of a
 * batch processed in one turn. `len` at most what the window takes at once. */
static void run_send(struct peer *p, ut_handle h, int count, int batch, int len)
{
    for (int done = 0; done < count; done += batch) {
        uint64_t before = p->bytes_in;
        uint32_t start = p->rcv_nxt, end;
        for (int i = 0; i < batch; i++)
            REQUIRE(ut_send(p->stack, h, buffer, (size_t)len, p->now) == len);
        peer_drain(p);
        REQUIRE(p->bytes_in - before == (uint64_t)batch * (uint64_t)len);
        end = p->rcv_nxt;
        for (int i = 1; i <= batch; i++) {
            p->rcv_nxt = start + (uint32_t)(i * len);
            peer_send(p, ACK, 0, 0);
        }
        REQUIRE(p->rcv_nxt == end);
        peer_poll(p);
    }
}

/* Opens the congestion window to what `len` bytes at once need. */
static void grow_window(struct peer *p, ut_handle h, int len)
{
    for (int round = 0; round < 32; round++) {
        uint64_t before = p->bytes_in;
        REQUIRE(ut_send(p->stack, h, buffer, (size_t)len, p->now) == len);
        peer_drain(p);
        while (p->bytes_in - before < (uint64_t)len) {
            peer_send(p, ACK, 0, 0);
            peer_poll(p);
        }
        peer_send(p, ACK, 0, 0);
        peer_poll(p);
    }
}

/* 64 bytes in, 64 bytes out: the turn of an echo server. */
static void run_echo(struct peer *p, ut_handle h, int count)
{
    for (int i = 0; i < count; i++) {
        peer_send(p, ACK | PSH, 64, 0);
        peer_poll(p);
        REQUIRE(receive_all(p, h) == 64);
        REQUIRE(ut_send(p->stack, h, buffer, 64, p->now) == 64);
        peer_drain(p);
    }
}

/* COUNT connections opened by the peer, closed by it, then by us. */
static void run_open_close(struct peer *p, ut_handle listener, int count)
{
    for (int i = 0; i < count; i++) {
        ut_handle h = peer_connect(p, listener, (uint16_t)(2000 + i));
        peer_send(p, FIN | ACK, 0, 0);
        peer_poll(p);
        REQUIRE(ut_close(p->stack, h, p->now) == 0);
        peer_poll(p);
        REQUIRE(p->last_flags & FIN);
        peer_send(p, ACK, 0, 0);
        peer_poll(p);
    }
}

int main(int argc, char **argv)
{
    static struct peer peer;
    REQUIRE(argc == 3);
    const char *scenario = argv[1];
    int count = atoi(argv[2]);
    ut_handle listener = peer_init(&peer, 64);
    ut_handle h = peer_connect(&peer, listener, 1999);
    /* Past the first allocation of every ring. */
    run_receive(&peer, h, 64, 4, MSS);
    grow_window(&peer, h, 44 * MSS);
    if (!strcmp(scenario, "receive")) run_receive(&peer, h, count, 16, MSS);
    else if (!strcmp(scenario, "receive-one")) run_receive(&peer, h, count, 1, MSS);
    else if (!strcmp(scenario, "receive-super")) run_receive(&peer, h, count, 1, 44 * MSS);
    else if (!strcmp(scenario, "send")) run_send(&peer, h, count, 8, MSS);
    else if (!strcmp(scenario, "send-super")) run_send(&peer, h, count, 1, 44 * MSS);
    else if (!strcmp(scenario, "echo")) run_echo(&peer, h, count);
    else if (!strcmp(scenario, "open-close")) run_open_close(&peer, listener, count);
    else REQUIRE(!"a known scenario");
    ut_stack_free(peer.stack);
    return 0;
}
