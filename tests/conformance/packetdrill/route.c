/* route.c: what a script says of the way to its peer. With commands/ip: `advmss` is the MSS to
 * announce, `mtu` what the path carries. With commands/tc: a queue with `limit 0` lets nothing out.
 * The runner gives the commands and the adapter a directory in the environment variable UT_DOOR_DIR.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "door.h"
#include "ip/pmtu.h"
#include "stack/stack.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

static uint32_t route_number(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? (uint32_t)strtoul(at + strlen(name), NULL, 10) : 0;
}

/* The line in that file of the directory; false: there is none. */
static bool route_line(const char *name, char text[512])
{
    char path[512];
    const char *dir = getenv("UT_DOOR_DIR");
    if (dir == NULL)
        return false;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    bool has = fgets(text, 512, f) != NULL;
    fclose(f);
    return has;
}

void route_read(void)
{
    char text[512];
    bool holds = route_line("queue", text) && strstr(text, " limit 0") != NULL;
    if (holds != door.holds)
        ut_output_hold(door.stack, door.holds = holds, door.now);
    if (route_line("route", text)) {
        uint32_t mtu = route_number(text, " mtu lock "), mss = route_number(text, " advmss ");
        /* As an MSS: a script is run over both versions of IP. */
        door.route_mss = mtu != 0 ? mtu - (strstr(text, "-6 ") != NULL ? 60 : 40) : 0;
        door.stack->env.params.mss_max = mss != 0 ? (uint16_t)mss : UINT16_MAX;
    }
}

void route_note(const uint8_t *packet, uint32_t len)
{
    struct ip_hdr ip;
    bool is_v4 = len > 0 && packet[0] >> 4 == 4;
    if (door.route_mss == 0 ||
        (is_v4 ? ipv4_parse(packet, len, &ip) : ipv6_parse(packet, len, &ip)) != DROP_none)
        return;
    struct pmtu *p = pmtu_find(&door.stack->paths.known, &ip.src);
    uint32_t mtu = door.route_mss + (is_v4 ? 40 : 60);
    if (mtu >= door.mtu || p != NULL)
        return; /* the engine finds out by itself that the path carries more again */
    p = pmtu_note(&door.stack->paths.known, &ip.src, door.now);
    if (p == NULL)
        door_fail("no memory for a route");
    p->mtu = (uint16_t)mtu;
    p->is_guess = true; /* no router has said so: probes may look for more */
    p->may_fragment = false;
}
