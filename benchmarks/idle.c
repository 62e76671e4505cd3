/* idle.c: what N idle established connections hold in C. Usage: idle N ECHO
 *
 * Two stacks over a joined memory link; N connections are opened, and with ECHO=1 each carries 64 bytes
 * both ways first, so rings have existed and must be gone. Prints the bytes both stacks hold before the
 * first connection and after the last has fallen idle.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "usertcp_info.h"

#define REQUIRE(cond)                                                                    \
    do {                                                                                 \
        if (!(cond)) {                                                                   \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);           \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

static uint64_t now = 1000000000;
static ut_stack *client, *server;
static ut_handle listener;

static ut_stack *stack_new(ut_link *link, uint8_t last, uint32_t max_connections)
{
    ut_config config;
    uint8_t ip[16] = {[10] = 0xff, 0xff, 10, 0, 0, last};
    int error = 0;
    ut_config_default(&config);
    config.seed[0] = last;
    config.max_connections = max_connections;
    config.port_first = 1024;
    config.port_last = 65535;
    ut_stack *s = ut_stack_new(&config, link, &error);
    REQUIRE(s != NULL);
    REQUIRE(ut_address_add(s, ip, 24, 0, now) == 0);
    return s;
}

/* Both stacks take turns until nothing is due, `idle_ns` of virtual time later at most. */
static void settle(uint64_t idle_ns)
{
    ut_event events[64];
    uint64_t end = now + idle_ns;
    for (int turn = 0; turn < 100000; turn++) {
        REQUIRE(ut_poll(client, now, 64, events, 64) >= 0);
        REQUIRE(ut_poll(server, now, 64, events, 64) >= 0);
        uint64_t a = ut_stack_shared(client)->deadline, b = ut_stack_shared(server)->deadline;
        uint64_t next = a < b ? a : b;
        if (next > end) return;
        now = next > now ? next : now + 1000;
    }
}

static void echo(ut_handle from, ut_handle to)
{
    uint8_t data[64] = {0};
    ut_span lent;
    REQUIRE(ut_send(client, from, data, sizeof data, now) == sizeof data);
    settle(0);
    REQUIRE(ut_recv(server, to, data, sizeof data, sizeof data, &lent, now) == sizeof data);
    REQUIRE(ut_send(server, to, data, sizeof data, now) == sizeof data);
    settle(0);
    REQUIRE(ut_recv(client, from, data, sizeof data, sizeof data, &lent, now) == sizeof data);
}

static void open_one(int with_echo)
{
    ut_endpoint any = {0}, local, remote = {.ip = {[10] = 0xff, 0xff, 10, 0, 0, 2}, .port = 80};
    ut_handle ours, theirs;
    ut_info info;
    REQUIRE(ut_connect(client, &any, &remote, 0, now, &ours) == 0);
    for (int i = 0; i < 4; i++) settle(0);
    REQUIRE(ut_accept(server, listener, now, &theirs, &local, &remote) == 0);
    REQUIRE(ut_get_info(client, ours, &info) == 0 && info.state == UT_STATE_ESTABLISHED);
    if (with_echo) echo(ours, theirs);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 3);
    int n = atoi(argv[1]), with_echo = atoi(argv[2]), error = 0;
    ut_link_options options = {.mtu = 1500, .offload = 1, .ethernet = 1};
    ut_link *a = ut_link_memory(&options, &error), *b = ut_link_memory(&options, &error);
    REQUIRE(a && b && ut_memory_join(a, b) == 0);
    client = stack_new(a, 1, (uint32_t)n + 16);
    server = stack_new(b, 2, (uint32_t)n + 16);
    ut_endpoint at = {.ip = {[10] = 0xff, 0xff, 10, 0, 0, 2}, .port = 80};
    REQUIRE(ut_listen(server, &at, 16, 0, now, &listener) == 0);
    settle(0);
    uint64_t c0 = ut_memory_in_use(client), s0 = ut_memory_in_use(server);
    for (int i = 0; i < n; i++) open_one(with_echo);
    settle(2000000000);
    printf("{\"n\": %d, \"client_empty\": %" PRIu64 ", \"server_empty\": %" PRIu64
           ", \"client\": %" PRIu64 ", \"server\": %" PRIu64 "}\n",
           n, c0, s0, ut_memory_in_use(client), ut_memory_in_use(server));
    ut_stack_free(client);
    ut_stack_free(server);
    return 0;
}
