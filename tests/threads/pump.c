/* pump.c: two stacks with pumps on joined memory links, and a loop that is late now and then. Built
 * with ThreadSanitizer by `make tsan`; exits 0 when all bytes arrive and nothing raced.
 */
#include <string.h>

#include "host.h"

#define TOTAL (8u << 20)

static void rest(long ms)
{
    struct timespec t = {0, ms * 1000000};
    nanosleep(&t, NULL);
}

int main(void)
{
    static uint8_t data[65536], got[65536];
    ut_event events[64];
    ut_span lent;
    int error;
    ut_link_options o = {.offload = 1};
    ut_link *la = ut_link_memory(&o, &error), *lb = ut_link_memory(&o, &error);
    CHECK(la != NULL && lb != NULL && ut_memory_join(la, lb) == 0);
    ut_stack *a = stack_on(la, 1, 1 << 17), *b = stack_on(lb, 2, 1 << 17);
    ut_handle listener, client, server = 0;
    ut_endpoint any = {.port = 80}, local, remote;
    CHECK(ut_listen(b, &any, 8, 0, now(), &listener) == 0);
    ut_endpoint to = {.ip = {[10] = 0xff, 0xff, 10, 0, 0, 2}, .port = 80}, from = {.port = 0};
    CHECK(ut_connect(a, &from, &to, 0, now(), &client) == 0);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    uint64_t sent = 0, received = 0, begun = now();
    /* Nobody polls: the pumps alone make the handshake and carry the bytes. */
    while (received < TOTAL && now() - begun < 60000000000u) {
        if (server == 0)
            ut_accept(b, listener, now(), &server, &local, &remote);
        if (sent < TOTAL) {
            int64_t n = ut_send(a, client, data + sent % sizeof data,
                                sizeof data - sent % sizeof data, now());
            sent += n > 0 ? (uint64_t)n : 0;
        }
        int64_t n =
            server != 0 ? ut_recv(b, server, got, sizeof got, sizeof got, &lent, now()) : -1;
        for (int64_t i = 0; i < n; i++)
            CHECK(got[i] == data[(received + (uint64_t)i) % sizeof data]);
        received += n > 0 ? (uint64_t)n : 0;
        if (received > TOTAL / 2) { /* now and then a loop is there as well */
            ut_poll(a, now(), 64, events, 64);
            ut_poll(b, now(), 64, events, 64);
        }
        if (n <= 0)
            rest(1);
    }
    CHECK(received >= TOTAL);
    ut_close(a, client, now());
    rest(50);
    ut_stack_free(a);
    ut_stack_free(b);
    printf("pump: %u MiB carried\n", TOTAL >> 20);
    return 0;
}
