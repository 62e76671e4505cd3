/* busy.c: one host that polls busily and one that does not, on joined memory links, a pump beside
 * each, and a thread that looks on. Built with ThreadSanitizer by `make tsan`; exits 0 when all
 * bytes arrive and nothing raced.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "host.h"

#define TOTAL (4u << 20)
#define LIMIT 60000000000u /* ns */

static ut_stack *a, *b;
static atomic_int over;

/* The receiver's host: takes what there is, and polls busily while there is nothing. */
static void *receive(void *arg)
{
    static uint8_t got[65536];
    ut_event events[64];
    ut_endpoint local, remote;
    ut_span lent;
    ut_handle server = 0, listener = *(ut_handle *)arg;
    uint64_t received = 0, begun = now();
    while (received < TOTAL && now() - begun < LIMIT) {
        ut_poll(b, now(), 64, events, 64);
        if (server == 0)
            ut_accept(b, listener, now(), &server, &local, &remote);
        int64_t n =
            server != 0 ? ut_recv(b, server, got, sizeof got, sizeof got, &lent, now()) : -1;
        for (int64_t i = 0; i < n; i++)
            CHECK(got[i] == (uint8_t)((received + (uint64_t)i) % 251));
        received += n > 0 ? (uint64_t)n : 0;
        for (int i = 0; n <= 0 && i < 2 && ut_busy_poll(b, 1000000) < 0; i++)
            continue; /* the first time it was the host's own calls */
    }
    CHECK(received == TOTAL);
    return NULL;
}

static void *look_on(void *arg)
{
    static uint64_t counters[512];
    (void)arg;
    while (!atomic_load(&over)) {
        CHECK(ut_counters(b, counters, 512) > 0);
        struct timespec t = {0, 1000000};
        nanosleep(&t, NULL);
    }
    return NULL;
}

int main(void)
{
    static uint8_t data[251 * 256];
    ut_event events[64];
    int error;
    ut_link_options o = {.offload = 1};
    ut_link *la = ut_link_memory(&o, &error), *lb = ut_link_memory(&o, &error);
    CHECK(la != NULL && lb != NULL && ut_memory_join(la, lb) == 0);
    a = stack_on(la, 1, 1 << 16);
    b = stack_on(lb, 2, 1 << 16);
    ut_handle listener, client;
    ut_endpoint any = {.port = 80}, from = {.port = 0};
    ut_endpoint to = {.ip = {[10] = 0xff, 0xff, 10, 0, 0, 2}, .port = 80};
    CHECK(ut_listen(b, &any, 8, 0, now(), &listener) == 0);
    CHECK(ut_connect(a, &from, &to, 0, now(), &client) == 0);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i % 251);
    pthread_t receiver, onlooker;
    CHECK(pthread_create(&receiver, NULL, receive, &listener) == 0);
    CHECK(pthread_create(&onlooker, NULL, look_on, NULL) == 0);
    uint64_t sent = 0, begun = now();
    while (sent < TOTAL && now() - begun < LIMIT) {
        size_t at = sent % 251, len = sizeof data - at;
        len = len < TOTAL - sent ? len : TOTAL - sent;
        int64_t n = ut_send(a, client, data + at, len, now());
        sent += n > 0 ? (uint64_t)n : 0;
        ut_poll(a, now(), 64, events, 64);
    }
    CHECK(sent == TOTAL);
    while (pthread_tryjoin_np(receiver, NULL) != 0 && now() - begun < LIMIT)
        ut_poll(a, now(), 64, events, 64);
    atomic_store(&over, 1);
    CHECK(pthread_join(onlooker, NULL) == 0);
    ut_stack_free(a);
    ut_stack_free(b);
    printf("busy: %u MiB carried\n", TOTAL >> 20);
    return 0;
}
